"""Weights come from their files once each, as they are stored, and anything odd is refused before."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("ml_dtypes")

import numpy as np

from training.bases import FileFacts
from training.errors import ConfigError
from training.hf.choosing import INDEX
from training.hf.families import model_config_from_hf
from training.hf.files import inspect_folder
from training.hf.names import tensors_of as names_of
from training.hf.reading import stream
from training.hf.tests.arrays import FAMILIES, fixture_config, tensors_of, write_model
from training.hf.tests.registering import write_record

SHAPE = model_config_from_hf(fixture_config("qwen3"))


@pytest.mark.parametrize(
    ("family", "dtype", "shards"),
    [*((family, "bfloat16", 3) for family in FAMILIES), ("llama", "float32", 1), ("qwen2", "float16", 2)],
)
def test_each_tensor_comes_once_as_it_is_stored(tmp_path, family, dtype, shards):
    written = write_model(tmp_path, family, dtype=dtype, shards=shards)
    shape = model_config_from_hf(fixture_config(family))
    found = list(stream(tmp_path, shape))
    assert sorted(tensor.ours for tensor, _ in found) == sorted(tensor.ours for tensor in names_of(shape))
    for tensor, array in found:
        assert array.dtype == written[tensor.theirs].dtype
        assert array.shape == tensor.shape
        assert array.tobytes() == written[tensor.theirs].tobytes()
        assert array.flags.writeable


def test_they_come_file_by_file_in_the_order_of_the_bytes(tmp_path):
    write_model(tmp_path, "qwen3", shards=3)
    places = inspect_folder(tmp_path).places
    found = [places[tensor.theirs] for tensor, _ in stream(tmp_path, SHAPE)]
    lie = [(place.path.name, place.begin) for place in found]
    assert lie == sorted(lie)
    assert len({file for file, _ in lie}) == 3


def test_the_embedding_may_be_repeated_and_frequencies_be_stored(tmp_path):
    tensors = tensors_of("qwen3")
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(8, np.float32)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].astype(np.float16)
    tensors["model.embed_tokens.weight"] = tensors["lm_head.weight"].astype(np.float32)
    write_model(tmp_path, "qwen3", tensors=tensors, shards=2)
    assert "lm_head.weight" not in {tensor.theirs for tensor, _ in stream(tmp_path, SHAPE)}


def test_a_head_that_contradicts_the_embedding_in_its_last_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("training.hf.files._CHUNK", 1000)
    tensors = tensors_of("qwen3")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    tensors["lm_head.weight"][-1, -1] += 1
    write_model(tmp_path, "qwen3", tensors=tensors)
    with pytest.raises(ConfigError, match=r"lm_head\.weight is the embedding .* both are stored and differ"):
        stream(tmp_path, SHAPE)


def without_a_norm(tensors):
    del tensors["model.norm.weight"]


def with_a_bias(tensors):
    tensors["model.layers.0.self_attn.q_proj.bias"] = np.ones(64, np.float32)


def turned(tensors):
    tensors["model.layers.0.mlp.up_proj.weight"] = np.ones((32, 48), np.float32)


def doubles(tensors):
    tensors["model.norm.weight"] = tensors["model.norm.weight"].astype(np.float64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_norm, r"missing: model\.norm\.weight"),
        (with_a_bias, r"unexpected: model\.layers\.0\.self_attn\.q_proj\.bias"),
        (turned, r"up_proj\.weight is \[32, 48\], the config asks for \[48, 32\]"),
        (doubles, r"model\.norm\.weight' is stored as F64; only F32"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_tensor(tmp_path, change, message):
    tensors = tensors_of("qwen3")
    change(tensors)
    write_model(tmp_path, "qwen3", tensors=tensors, shards=2)
    with pytest.raises(ConfigError, match=message):
        stream(tmp_path, SHAPE)


def cut(folder):
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def no_safetensors(folder):
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"PK\x03\x04 a pickle in a box")


def a_missing_shard(folder):
    (folder / "model-00001-of-00002.safetensors").unlink()


def twice(folder):
    copied = (folder / "model-00001-of-00002.safetensors").read_bytes()
    (folder / "model-00002-of-00002.safetensors").write_bytes(copied)


def another_index(folder):
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["model.norm.weight"] = "model-00001-of-00002.safetensors"
    index["weight_map"]["model.embed_tokens.weight"] = "model-00002-of-00002.safetensors"
    (folder / INDEX).write_text(json.dumps(index))


def a_shard_elsewhere(folder):
    (folder / INDEX).write_text('{"weight_map": {"model.norm.weight": "../model.safetensors"}}')


def no_map(folder):
    (folder / INDEX).write_text("[]")


def no_index(folder):
    (folder / INDEX).unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, "model-00002-of-00002.safetensors is cut off"),
        (no_safetensors, "model-00001-of-00002.safetensors is no safetensors file"),
        (a_missing_shard, "missing: model-00001-of-00002.safetensors"),
        (twice, "lies in model-00001-of-00002.safetensors and in model-00002-of-00002.safetensors"),
        (another_index, r"lies in model-0000\d-of-00002\.safetensors, but \S+ names model-0000\d-of-00002"),
        (a_shard_elsewhere, r"no \.safetensors file beside the index"),
        (no_map, "index.json must hold a JSON object"),
        (no_index, r"index\.json is missing beside model-00001"),
    ],
)
def test_damaged_and_contradicting_files_are_named(tmp_path, harm, message):
    write_model(tmp_path, "qwen3", shards=2)
    harm(tmp_path)
    with pytest.raises(ConfigError, match=message):
        stream(tmp_path, SHAPE)


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path):
    write_model(tmp_path, "qwen3")
    found = stream(tmp_path, SHAPE)
    next(found)
    path = tmp_path / "model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ConfigError, match=r"model\.safetensors ends within .* changed while it was read"):
        list(found)


def test_a_file_of_another_size_than_recorded_is_refused(tmp_path):
    write_model(tmp_path, "qwen3")
    size = (tmp_path / "model.safetensors").stat().st_size
    write_record(tmp_path)
    assert len(list(stream(tmp_path, SHAPE))) == len(names_of(SHAPE))
    write_record(tmp_path, files={"model.safetensors": FileFacts(size=size + 1, sha256="0" * 64)})
    with pytest.raises(ConfigError, match=f"has {size:,} bytes; it had {size + 1:,} bytes when"):
        stream(tmp_path, SHAPE)
    write_record(tmp_path, files={})
    with pytest.raises(ConfigError, match="added later"):
        stream(tmp_path, SHAPE)
    write_record(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=f"is missing; it had {size:,} bytes when"):
        stream(tmp_path, SHAPE)
    (tmp_path / "tunix_model.json").write_text("{")
    with pytest.raises(ConfigError, match=r"(?s)tunix_model\.json cannot be read .* Import the model anew"):
        stream(tmp_path, SHAPE)


def test_a_folder_of_another_model_is_refused(tmp_path):
    write_model(tmp_path, "qwen3")
    other = SHAPE.model_copy(update={"rope_theta": 5.0})
    with pytest.raises(
        ConfigError, match=r"config\.json is not of the model .*: rope_theta is [\d.]+, not 5\."
    ):
        stream(tmp_path, other)


def test_reading_loads_no_jax():
    code = "import sys, training.hf.reading; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
