"""Model folders as people have them: what is taken, and what is refused before a number is read."""

import json
import math
import os
import re
import struct
from typing import Any

import pytest

from training.errors import ConfigError
from training.hf.choosing import INDEX
from training.hf.files import check_tied, inspect_folder
from training.hf.names import EMBEDDING, HEAD
from training.hf.tests.folders import FAMILIES, Stored, fixture_tensors, model_folder, write_tensors, zeros

QUERY = "model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shards", [1, 3])
def test_every_tensor_of_every_family_is_found(tmp_path, family, shards):
    facts = inspect_folder(model_folder(tmp_path, family, shards=shards, dtype="BF16"))
    tensors = fixture_tensors(family)
    assert facts.places.keys() == tensors.keys()
    assert facts.parameters == sum(len(one.data) // 4 for one in tensors.values())
    assert (facts.dtype, facts.weight_bytes) == ("BF16", facts.parameters * 2)
    assert set(facts.files) == {entry.name for entry in tmp_path.iterdir()}
    order = [(place.path.name, place.begin) for place in facts.places.values()]
    assert order == sorted(order)
    some = facts.places["model.norm.weight"]
    raw = some.path.read_bytes()[some.begin : some.begin + some.size]
    assert raw == tensors["model.norm.weight"].to("BF16").data


def changed(family="llama", /, **changes):
    """The tensors of a fixture with some of them changed; ``None`` takes one out."""
    tensors = fixture_tensors(family) | changes
    return {name: one for name, one in tensors.items() if one is not None}


REFUSED_TENSORS: dict[str, Any] = {
    "missing": ({QUERY: None}, f"missing: {QUERY}"),
    "unexpected": (
        {QUERY + "_scale": zeros((1,))},
        "unexpected: .*weight_scale",
    ),
    "of a wrong shape": ({QUERY: zeros((32, 16))}, r"q_proj.weight is \[32, 16\].*asks for \[32, 32\]"),
    "of another type": ({QUERY: zeros((32, 32), "F64")}, "is stored as F64; only F32, BF16, F16"),
}


@pytest.mark.parametrize("what", REFUSED_TENSORS)
def test_a_tensor_that_does_not_fit_is_refused_by_name(tmp_path, what):
    changes, said = REFUSED_TENSORS[what]
    model_folder(tmp_path)
    write_tensors(tmp_path, changed(**changes))
    with pytest.raises(ConfigError, match=said):
        inspect_folder(tmp_path)


def test_many_that_are_missing_are_counted(tmp_path):
    model_folder(tmp_path, tensors={EMBEDDING: fixture_tensors("llama")[EMBEDDING]})
    with pytest.raises(ConfigError, match=r"missing: .* and \d+ more"):
        inspect_folder(tmp_path)


REFUSED_CONFIGS: dict[str, Any] = {
    "an unknown family": ({"model_type": "mamba"}, "'mamba' is not supported; known are llama, qwen2"),
    "a model of images": ({"model_type": "gemma3"}, "gemma3_text"),
    "quantised weights": ({"quantization_config": {"quant_method": "gptq"}}, r"quantised \(gptq\)"),
    "too many layers": ({"num_hidden_layers": 10**12}, "layers are more than"),
    "a value of another kind": ({"rope_scaling": 5, "rope_parameters": None}, "config.json has a value"),
    "no width": ({"hidden_size": None}, "hidden_size is missing"),
}


@pytest.mark.parametrize("what", REFUSED_CONFIGS)
def test_a_config_that_cannot_be_built_is_refused(tmp_path, what):
    config, said = REFUSED_CONFIGS[what]
    with pytest.raises(ConfigError, match=said):
        inspect_folder(model_folder(tmp_path, config=config))


FOLDERS: dict[str, Any] = {
    "pickles": (["config.json", "pytorch_model.bin"], "pickles .* never read here.*safe_serialization"),
    "GGUF": (["config.json", "model-Q4.gguf"], "only as GGUF"),
    "an adapter": (["adapter_config.json", "adapter_model.safetensors"], "adapter alone"),
    "shards without index": (["config.json", "model-00001-of-00002.safetensors"], f"{INDEX} is missing"),
    "other names": (["config.json", "consolidated.safetensors"], "other names are not read"),
    "a config alone": (["config.json"], "no weights"),
    "something else": (["holiday.jpg"], "no folder of a Hugging Face model"),
    "weights alone": (["model.safetensors"], "config.json is missing"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_a_folder_without_a_model_says_what_to_do(tmp_path, what):
    names, said = FOLDERS[what]
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(ConfigError, match=said):
        inspect_folder(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder that can be read"):
        inspect_folder(tmp_path / "nowhere")


class TestShards:
    @pytest.fixture
    def folder(self, tmp_path):
        return model_folder(tmp_path, shards=3)

    def index(self, folder, change):
        index = json.loads((folder / INDEX).read_text())
        change(index["weight_map"])
        (folder / INDEX).write_text(json.dumps(index))

    def test_one_that_is_missing_is_named(self, folder):
        (folder / "model-00002-of-00003.safetensors").unlink()
        with pytest.raises(ConfigError, match="missing: model-00002-of-00003"):
            inspect_folder(folder)

    @pytest.mark.parametrize(
        "place", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", "a\0.safetensors", 7]
    )
    def test_the_index_names_only_files_beside_it(self, folder, place):
        self.index(folder, lambda weights: weights.update({QUERY: place}))
        with pytest.raises(ConfigError, match=r"no \.safetensors file beside the index"):
            inspect_folder(folder)

    def test_a_tensor_in_two_of_them_is_refused(self, folder):
        part = folder / "model-00001-of-00003.safetensors"
        (folder / "again.safetensors").write_bytes(part.read_bytes())
        self.index(folder, lambda weights: weights.update({"x": "again.safetensors"}))
        with pytest.raises(ConfigError, match=r"lies in again.safetensors(,| and)"):
            inspect_folder(folder)

    def test_the_index_and_the_shards_must_agree(self, folder):
        self.index(folder, lambda weights: weights.pop(QUERY))
        with pytest.raises(ConfigError, match="does not name it"):
            inspect_folder(folder)

    def test_a_tensor_that_only_the_index_knows_is_refused(self, folder):
        self.index(folder, lambda weights: weights.update(x="model-00001-of-00003.safetensors"))
        with pytest.raises(ConfigError, match="tensors that its shards lack: x"):
            inspect_folder(folder)

    @pytest.mark.parametrize("text", ["{}", '{"weight_map": []}', "[]", "nonsense", '{"weight_map": {}}'])
    def test_an_index_of_another_form_is_refused(self, folder, text):
        (folder / INDEX).write_text(text)
        with pytest.raises(ConfigError, match=INDEX):
            inspect_folder(folder)


class TestSpare:
    def test_stored_rotary_frequencies_are_left_aside(self, tmp_path):
        spare = "model.layers.0.self_attn.rotary_emb.inv_freq"
        facts = inspect_folder(model_folder(tmp_path, tensors=changed(**{spare: zeros((4,))})))
        assert facts.spare.keys() == {spare}
        assert spare not in facts.places

    def test_the_output_of_a_tied_model_must_be_the_embedding(self, tmp_path):
        tensors = fixture_tensors("qwen3")
        assert HEAD not in tensors
        facts = inspect_folder(
            model_folder(tmp_path, "qwen3", tensors={**tensors, HEAD: tensors[EMBEDDING]}, shards=2)
        )
        assert facts.spare.keys() == {HEAD}
        check_tied(facts)

    def test_one_that_differs_in_its_last_bit_is_refused(self, tmp_path):
        tensors = fixture_tensors("qwen3")
        same = tensors[EMBEDDING]
        other = Stored(same.dtype, same.shape, same.data[:-1] + bytes([same.data[-1] ^ 1]))
        facts = inspect_folder(model_folder(tmp_path, "qwen3", tensors={**tensors, HEAD: other}))
        with pytest.raises(ConfigError, match="both are stored and differ"):
            check_tied(facts)

    def test_one_of_another_shape_is_refused(self, tmp_path):
        tensors = fixture_tensors("qwen3")
        with pytest.raises(ConfigError, match=f"{re.escape(HEAD)} is"):
            inspect_folder(model_folder(tmp_path, "qwen3", tensors={**tensors, HEAD: zeros((3, 3))}))

    @pytest.mark.parametrize("dtype", ["F16", "BF16"])
    @pytest.mark.parametrize("wide", [EMBEDDING, HEAD])
    def test_one_of_another_type_may_hold_the_same_numbers(self, tmp_path, monkeypatch, dtype, wide):
        monkeypatch.setattr("training.hf.files._CHUNK", 100)
        shape = fixture_tensors("qwen3")[EMBEDDING].shape
        count = math.prod(shape)
        # What all three types hold: few digits, of either sign.
        numbers = [(number % 255 - 127) / 64 for number in range(count)]

        def check(last):
            whole = Stored("F32", shape, struct.pack(f"<{count}f", *numbers[:-1], last))
            few = Stored("F32", shape, struct.pack(f"<{count}f", *numbers)).to(dtype)
            repeated = {EMBEDDING: few, HEAD: few, wide: whole}
            tensors = {**fixture_tensors("qwen3"), **repeated}
            check_tied(inspect_folder(model_folder(tmp_path, "qwen3", tensors=tensors)))

        check(numbers[-1])
        with pytest.raises(ConfigError, match="both are stored and differ"):
            check(numbers[-1] + 2**-20)

    def test_of_a_model_that_is_not_tied_it_is_a_tensor_like_others(self, tmp_path):
        facts = inspect_folder(model_folder(tmp_path, "llama"))
        assert HEAD in facts.places
        check_tied(facts)


def test_a_folder_of_links_is_read_as_the_hub_keeps_it(tmp_path):
    real = model_folder(tmp_path / "blobs", shards=2)
    links = tmp_path / "snapshots" / "abc"
    links.mkdir(parents=True)
    for entry in real.iterdir():
        (links / entry.name).symlink_to(os.path.relpath(entry, links))
    assert inspect_folder(links).places.keys() == fixture_tensors("llama").keys()


def test_a_config_of_endless_size_is_refused(tmp_path):
    model_folder(tmp_path)
    os.truncate(tmp_path / "config.json", 1 << 33)
    with pytest.raises(ConfigError, match="which no such file needs"):
        inspect_folder(tmp_path)
