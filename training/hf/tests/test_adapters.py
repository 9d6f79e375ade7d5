"""Adapters go to PEFT's form and come back, and are merged with one rounding."""

import json

import pytest

pytest.importorskip("ml_dtypes")
pytest.importorskip("safetensors")

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

from training.errors import ConfigError, ExportError
from training.hf.adapters import AdapterFacts, read_adapter, write_adapter
from training.hf.families import model_config_from_hf
from training.hf.files import inspect_folder
from training.hf.names import tensors_of as names_of
from training.hf.outgoing import outgoing
from training.hf.reading import read_place, stream
from training.hf.tests.arrays import fixture_config, write_model
from training.hf.writing import Stored

SHAPE = model_config_from_hf(fixture_config("qwen3"))
FACTS = AdapterFacts(rank=4, alpha=6.0, dropout=0.1, base="someone/tiny", revision="abc")


def adapters(targets=("attention.q", "attention.v", "mlp.out"), layers=(0, 1, 2)):
    draw = np.random.default_rng(0)
    found = {}
    for tensor in names_of(SHAPE):
        stem = tensor.ours.removesuffix(".kernel")
        if tensor.layer in layers and stem.partition(f"{tensor.layer}.")[2] in targets:
            outputs, inputs = tensor.shape
            found[f"{stem}.lora_a"] = draw.normal(size=(inputs, 4)).astype(np.float32)
            found[f"{stem}.lora_b"] = draw.normal(size=(4, outputs)).astype(np.float32)
    return found


def stacked(leaves):
    names = sorted({name.split(".", 2)[2] for name in leaves})
    return {f"blocks.{n}": np.stack([leaves[f"blocks.{i}.{n}"] for i in range(SHAPE.layers)]) for n in names}


@pytest.mark.parametrize("form", [dict, stacked])
def test_an_adapter_comes_back_as_it_was(tmp_path, form):
    leaves = adapters()
    write_adapter(tmp_path, form(leaves), SHAPE, FACTS)
    facts, read = read_adapter(tmp_path, SHAPE)
    assert facts == FACTS
    assert read.keys() == leaves.keys()
    for name, array in leaves.items():
        np.testing.assert_array_equal(read[name], array)


def test_the_files_are_as_peft_names_them(tmp_path):
    leaves = adapters()
    assert write_adapter(tmp_path, leaves, SHAPE, FACTS) == [
        "adapter_model.safetensors",
        "adapter_config.json",
    ]
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert len(stored) == 2 * 9
    down = "base_model.model.model.layers.1.mlp.down_proj"
    np.testing.assert_array_equal(stored[f"{down}.lora_A.weight"], leaves["blocks.1.mlp.out.lora_a"].T)
    np.testing.assert_array_equal(stored[f"{down}.lora_B.weight"], leaves["blocks.1.mlp.out.lora_b"].T)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 6, 0.1)
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/tiny", "abc")
    assert (config["peft_type"], config["task_type"], config["bias"]) == ("LORA", "CAUSAL_LM", "none")


def test_projections_of_some_layers_alone_are_named_in_full(tmp_path):
    write_adapter(tmp_path, adapters(targets=("attention.q",), layers=(0, 2)), SHAPE, FACTS)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["target_modules"] == [f"model.layers.{i}.self_attn.q_proj" for i in (0, 2)]


def test_a_model_without_adapters_or_of_another_rank_has_none_to_write(tmp_path):
    with pytest.raises(ExportError, match="no adapters: export it with --format hf"):
        write_adapter(tmp_path, {}, SHAPE, FACTS)
    with pytest.raises(ExportError, match=r"not of rank 8"):
        write_adapter(tmp_path, adapters(), SHAPE, AdapterFacts(rank=8, alpha=1.0))


def changed_config(**changes):
    def change(folder):
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def changed_tensors(change):
    def apply(folder):
        path = folder / "adapter_model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return apply


def half(tensors):
    del tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]


def unknown(tensors):
    tensors["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = np.ones((4, 32), np.float32)


def embedding(tensors):
    tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = np.ones((4, 80), np.float32)


def turned(tensors):
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"] = np.ones((32, 4), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_config(peft_type="IA3"), "peft_type 'IA3' is not supported"),
        (changed_config(use_dora=True), "use_dora=True is not supported"),
        (changed_config(use_rslora=True), "use_rslora=True is not supported"),
        (changed_config(rank_pattern={"q_proj": 2}), "rank_pattern="),
        (changed_config(bias="all"), "bias='all' is not supported"),
        (changed_config(modules_to_save=["lm_head"]), "modules_to_save="),
        (changed_config(r=0), "cannot be read"),
        (changed_config(r=2), r"has shape \(4, 48\); beside this model it is \(2, 48\)"),
        (changed_tensors(half), r"q\.lora_a is there without .*lora_b"),
        (changed_tensors(unknown), "goes with no projection"),
        (changed_tensors(embedding), "embed_tokens.lora_embedding_A goes with no projection"),
        (changed_tensors(turned), r"q_proj\.lora_A\.weight has shape \(32, 4\)"),
        (changed_tensors(dict.clear), "holds no adapters"),
        (
            lambda folder: (folder / "adapter_model.safetensors").unlink(),
            "adapter_model.safetensors cannot be read",
        ),
    ],
)
def test_what_ours_cannot_do_is_refused_by_name(tmp_path, change, message):
    write_adapter(tmp_path, adapters(), SHAPE, FACTS)
    change(tmp_path)
    with pytest.raises(ConfigError, match=message):
        read_adapter(tmp_path, SHAPE)


def test_merging_sums_in_fp32_and_rounds_once(tmp_path):
    write_model(tmp_path, "qwen3", dtype="bfloat16")
    wanted = {tensor.theirs: tensor for tensor, _ in stream(tmp_path, SHAPE)}
    there = inspect_folder(tmp_path).places
    leaves = adapters()
    base = {tensor.ours: array.astype(np.float32) for tensor, array in stream(tmp_path, SHAPE)}
    whole = {tensor.ours: base[tensor.ours].T if tensor.transposed else base[tensor.ours]
             for tensor in wanted.values()} | leaves  # fmt: skip
    scale = FACTS.alpha / FACTS.rank
    from_files = outgoing(leaves, wanted, scale=scale, frozen=lambda one: read_place(there[one.name]))
    from_state = outgoing(whole, wanted, scale=scale)
    for name, tensor in wanted.items():
        one = Stored(name, "BF16", tensor.shape)
        stem = tensor.ours.removesuffix(".kernel")
        expected = base[tensor.ours]
        if f"{stem}.lora_a" in leaves:
            a, b = leaves[f"{stem}.lora_a"], leaves[f"{stem}.lora_b"]
            expected = expected + (a.astype(np.float64) @ b * scale).T
            assert np.abs(expected - base[tensor.ours]).max() > 0.1
            # Half a unit of bf16's last place, and what fp32 sums may differ by.
            np.testing.assert_allclose(
                from_files(one).astype(np.float64), expected, rtol=2**-8 * 1.001, atol=1e-6
            )
        else:
            assert from_files(one).tobytes() == expected.astype(ml_dtypes.bfloat16).tobytes()
        assert from_state(one).tobytes() == from_files(one).tobytes()
