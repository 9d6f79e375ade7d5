"""A model goes out as a folder that has all that other programs want, and nothing that they do not."""

import json
import os

import pytest

pytest.importorskip("ml_dtypes")

import numpy as np

from training import bases
from training.bases import find_base
from training.config import make_config
from training.errors import ConfigError, ExportError
from training.hf.adapters import read_adapter
from training.hf.exporting import Asked, write_export
from training.hf.formats import require_possible
from training.hf.names import tensors_of as names_of
from training.hf.reading import stream
from training.hf.target import MARK
from training.hf.tests.arrays import FAMILIES, write_base
from training.model_config import preset

FILES = {
    "tokenizer.json": '{"a": 1}',
    "tokenizer_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "generation_config.json": '{"eos_token_id": 3}',
    "LICENSE": "do as you like",
    "README.md": "the card of the base",
}


@pytest.fixture(autouse=True)
def models(tmp_path):
    root, before = tmp_path / "models", bases._places[0]
    root.mkdir()
    bases.use_root(lambda: root)
    yield root
    bases.use_root(before)


def parameters(base):
    """All parameters of a base as fp32, by our names and in our layout."""
    read = [(tensor, array.astype(np.float32)) for tensor, array in stream(base.folder, base.shape)]
    return {tensor.ours: array.T if tensor.transposed else array for tensor, array in read}


def adapters(shape, rank=2):
    draw = np.random.default_rng(1)
    found = {}
    for tensor in names_of(shape):
        if tensor.ours.endswith(("attention.q.kernel", "mlp.up.kernel")):
            stem = tensor.ours.removesuffix("kernel")
            found[f"{stem}lora_a"] = draw.normal(size=(tensor.shape[1], rank)).astype(np.float32)
            found[f"{stem}lora_b"] = draw.normal(size=(rank, tensor.shape[0])).astype(np.float32)
    return found


def contents(folder, shape):
    return {tensor.theirs: array.tobytes() for tensor, array in stream(folder, shape)}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_tuned_base_that_changed_nothing_is_that_base(tmp_path, models, family, dtype):
    name = write_base(models, family, dtype=dtype, shards=2, files=FILES)
    base, asked = find_base(name), Asked("hf", tmp_path / "out", "the card", max_shard_bytes=30_000)
    names = write_export(asked, make_config({"model": name}), parameters(base))
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert contents(tmp_path / "out", base.shape) == contents(base.folder, base.shape)
    for file in ["config.json", *FILES.keys() - {"README.md"}]:
        assert (tmp_path / "out" / file).read_bytes() == (base.folder / file).read_bytes()
    assert (tmp_path / "out" / "README.md").read_text() == f"the card\n\n{MARK}\n"
    assert "tunix_model.json" not in names


def test_adapters_are_merged_into_the_files_of_the_base(tmp_path, models):
    name = write_base(models, "qwen2")
    base, config = find_base(name), make_config({"model": name, "method": "lora", "lora_rank": 2})
    leaves, heard = adapters(base.shape), []
    write_export(
        Asked("hf", tmp_path / "out", ""), config, leaves, tell=lambda done, of: heard.append((done, of))
    )
    before, after = contents(base.folder, base.shape), contents(tmp_path / "out", base.shape)
    changed = {tensor for tensor in before if before[tensor] != after[tensor]}
    assert changed == {
        f"model.layers.{i}.{part}.weight" for i in range(3) for part in ("self_attn.q_proj", "mlp.up_proj")
    }
    assert heard[0] == (0, len(before))
    assert len(heard) == len(before)


def test_what_was_trained_beside_a_quantised_base_is_merged_with_that(tmp_path, models):
    name = write_base(models, "qwen2")
    base, config = find_base(name), make_config({"model": name, "method": "qlora", "lora_rank": 2})
    leaves = {key: array * 0 for key, array in adapters(base.shape).items()}
    asked = Asked("hf", tmp_path / "out", "")
    write_export(asked, config, leaves, quantized=lambda kernel: kernel * 2 + np.arange(kernel.shape[1]))
    before = {tensor.theirs: array for tensor, array in stream(base.folder, base.shape)}
    for tensor, array in stream(tmp_path / "out", base.shape):
        given = before[tensor.theirs].astype(np.float32)
        projection = tensor.layer is not None and tensor.transposed
        expected = given * 2 + np.arange(len(given))[:, None] if projection else given
        assert array.tobytes() == expected.astype(array.dtype).tobytes()


def test_an_adapter_goes_out_alone(tmp_path, models):
    name = write_base(models, "llama")
    config = make_config(
        {"model": name, "method": "lora", "lora_rank": 2, "lora_alpha": 3, "lora_dropout": 0.1}
    )
    leaves = adapters(find_base(name).shape)
    asked = Asked("adapter", tmp_path / "out", "the card")
    assert write_export(asked, config, leaves) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    facts, read = read_adapter(tmp_path / "out", find_base(name).shape)
    assert (facts.rank, facts.alpha, facts.dropout) == (2, 3.0, 0.1)
    assert (facts.base, facts.revision) == ("someone/tiny-llama", "0123456789abcdef")
    assert {key: array.tobytes() for key, array in read.items()} == {
        key: array.tobytes() for key, array in leaves.items()
    }


def test_an_adapter_of_a_base_out_of_a_folder_names_none(tmp_path, models):
    name = write_base(models, "llama")
    record = find_base(name).folder / "tunix_model.json"
    told = json.loads(record.read_text())
    assert find_base(name).record.is_on_hub
    record.write_text(json.dumps({**told, "source": "tiny-llama", "revision": ""}))
    os.utime(record, ns=(1, 1))
    config = make_config({"model": name, "method": "lora", "lora_rank": 2})
    write_export(Asked("adapter", tmp_path / "out", ""), config, adapters(find_base(name).shape))
    written = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == (None, None)


def test_a_model_from_scratch_brings_its_config_and_tokenizer(tmp_path):
    shape = preset("nano")
    draw = np.random.default_rng(0)
    leaves = {
        tensor.ours: draw.normal(size=tensor.shape[::-1] if tensor.transposed else tensor.shape).astype(
            np.float32
        )
        for tensor in names_of(shape)
    }
    asked, config = Asked("hf", tmp_path / "out", ""), make_config({"model": "nano", "sequence_length": 96})
    assert write_export(asked, config, leaves) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for tensor, array in stream(tmp_path / "out", shape):
        np.testing.assert_array_equal(array.T if tensor.transposed else array, leaves[tensor.ours])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["max_position_embeddings"] == 96


def test_what_has_no_adapter_has_none_to_export(models):
    name = write_base(models, "llama")
    for model, what in (("nano", "a model from scratch"), (name, "all weights of its base")):
        with pytest.raises(ExportError, match=f"trained {what}.*--format hf"):
            require_possible(make_config({"model": model}), "adapter")
    with pytest.raises(ConfigError, match="not on this machine"):
        require_possible(make_config({"model": "tiny@0123456789ab", "method": "lora"}), "adapter")


def test_a_checkpoint_without_adapters_is_not_taken_for_its_base(tmp_path, models):
    name = write_base(models, "llama")
    config = make_config({"model": name, "method": "lora"})
    with pytest.raises(ExportError, match="no adapters to merge"):
        write_export(Asked("hf", tmp_path / "out", ""), config, {})
    assert not (tmp_path / "out").exists()


def test_a_base_whose_files_were_changed_is_not_mixed_in(tmp_path, models):
    name = write_base(models, "llama")
    base = find_base(name)
    with (base.folder / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ConfigError, match="when the model was imported"):
        write_export(Asked("hf", tmp_path / "out", ""), make_config({"model": name}), parameters_of(base))
    assert not (tmp_path / "out").exists()


def parameters_of(base):
    return {tensor.ours: np.zeros(tensor.shape[::-1]) for tensor in names_of(base.shape)}
