"""Weights are written in shards as others read them, and a folder appears as a whole or not at all."""

import errno
import json
import shutil

import pytest

pytest.importorskip("ml_dtypes")
pytest.importorskip("safetensors")

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from training.errors import ExportError
from training.hf.choosing import INDEX
from training.hf.families import model_config_from_hf
from training.hf.files import inspect_folder
from training.hf.headers import read_header
from training.hf.outgoing import outgoing
from training.hf.reading import stream
from training.hf.target import MARK, README_NAME, new_folder
from training.hf.tests.arrays import FAMILIES, fixture_config, write_model
from training.hf.writing import Stored, write_file, write_weights

BF16 = np.dtype(ml_dtypes.bfloat16)


def through_ours(folder, shape):
    """What a training has: fp32 parameters in our layout by our names."""
    read = [(tensor, array.astype(np.float32)) for tensor, array in stream(folder, shape)]
    return {tensor.ours: array.T if tensor.transposed else array for tensor, array in read}


def stacked(leaves, layers):
    """The same parameters of a scanned model."""
    found = {name: array for name, array in leaves.items() if not name.startswith("blocks.")}
    for name in [name for name in leaves if name.startswith("blocks.0.")]:
        rest = name.removeprefix("blocks.0.")
        found[f"blocks.{rest}"] = np.stack([leaves[f"blocks.{layer}.{rest}"] for layer in range(layers)])
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shards", [1, 3])
def test_import_and_export_give_byte_identical_tensors(tmp_path, family, shards):
    write_model(tmp_path / "in", family, dtype="bfloat16", shards=shards)
    shape = model_config_from_hf(fixture_config(family))
    there = inspect_folder(tmp_path / "in").places
    planned = [Stored(place.name, place.dtype, place.shape) for place in there.values()]
    wanted = {tensor.theirs: tensor for tensor, _ in stream(tmp_path / "in", shape)}
    leaves = through_ours(tmp_path / "in", shape)
    before = {tensor.theirs: array.tobytes() for tensor, array in stream(tmp_path / "in", shape)}
    for name, form in (("plain", leaves), ("scanned", stacked(leaves, shape.layers))):
        (tmp_path / name).mkdir()
        names = write_weights(tmp_path / name, planned, outgoing(form, wanted), max_shard_bytes=20_000)
        assert sorted(names) == sorted(path.name for path in (tmp_path / name).iterdir())
        shutil.copyfile(tmp_path / "in" / "config.json", tmp_path / name / "config.json")
        after = {tensor.theirs: array.tobytes() for tensor, array in stream(tmp_path / name, shape)}
        assert after == before


def test_shards_keep_to_their_size_and_the_index_says_where(tmp_path):
    tensors = [Stored(f"t{i}", "F32", (100,)) for i in range(5)] + [Stored("large", "BF16", (1000,))]
    arrays = {
        one.name: np.full(one.shape, i, BF16 if one.dtype == "BF16" else np.float32)
        for i, one in enumerate(tensors)
    }
    names = write_weights(tmp_path, tensors, lambda one: arrays[one.name], max_shard_bytes=800)
    assert names == [*(f"model-{i:05}-of-00004.safetensors" for i in (1, 2, 3, 4)), INDEX]
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["metadata"] == {"total_size": 4000}
    assert index["weight_map"]["large"] == "model-00004-of-00004.safetensors"
    assert set(index["weight_map"]) == set(arrays)
    for name in names[:-1]:
        for tensor, array in load_file(tmp_path / name).items():
            assert array.tobytes() == arrays[tensor].tobytes()
    with safe_open(tmp_path / names[0], framework="np") as file:
        assert file.metadata() == {"format": "pt"}


def test_numbers_of_two_types_lie_at_multiples_of_their_size(tmp_path):
    arrays = {"a": np.ones(3, BF16), "b": np.arange(2, dtype=np.float32), "c": np.ones(1, np.float16)}
    stored = [Stored("a", "BF16", (3,)), Stored("b", "F32", (2,)), Stored("c", "F16", (1,))]
    write_file(tmp_path / "model.safetensors", stored, lambda one: arrays[one.name])
    for place in read_header(tmp_path / "model.safetensors").values():
        assert place.begin % arrays[place.name].itemsize == 0
    read = load_file(tmp_path / "model.safetensors")
    assert {name: array.tobytes() for name, array in read.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }


def test_an_array_that_is_not_what_was_announced_is_a_mistake_of_ours(tmp_path):
    with pytest.raises(ValueError, match=r"a should be F32 \(2,\), and is float64"):
        write_file(tmp_path / "one.safetensors", [Stored("a", "F32", (2,))], lambda one: np.ones(2))


def test_a_number_that_its_type_cannot_hold_is_refused(tmp_path):
    write_model(tmp_path, "llama", dtype="float16")
    shape = model_config_from_hf(fixture_config("llama"))
    leaves = through_ours(tmp_path, shape)
    wanted = {tensor.theirs: tensor for tensor, _ in stream(tmp_path, shape)}
    leaves["norm.scale"] = leaves["norm.scale"] * 1e6
    one = Stored("model.norm.weight", "F16", (32,))
    with pytest.raises(ExportError, match=r"model\.norm\.weight has numbers that F16 cannot hold"):
        outgoing(leaves, wanted)(one)
    del leaves["norm.scale"]
    with pytest.raises(ExportError, match=r"no parameter norm\.scale"):
        outgoing(leaves, wanted)(one)
    with pytest.raises(ExportError, match=r"norm\.scale has shape \(3,\)"):
        outgoing({**leaves, "norm.scale": np.ones(3)}, wanted)(one)


class TestTheTarget:
    def test_it_appears_when_all_went_well(self, tmp_path):
        with new_folder(tmp_path / "deep" / "out") as folder:
            (folder / "config.json").write_text("{}")
            assert not (tmp_path / "deep" / "out").exists()
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
        assert (tmp_path / "deep" / "out" / "config.json").read_text() == "{}"

    def test_nothing_is_left_of_one_that_failed(self, tmp_path):
        def fail():
            with new_folder(tmp_path / "out") as folder:
                (folder / "config.json").write_text("{}")
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_one_is_replaced_only_where_asked(self, tmp_path):
        target = tmp_path / "out"
        target.mkdir()
        (target / "config.json").write_text("old")
        (target / README_NAME).write_text(f"# A card\n\n{MARK}\n")
        with pytest.raises(ExportError, match=r"not empty.*--overwrite"), new_folder(target):
            pass
        with pytest.raises(KeyError), new_folder(target, overwrite=True):
            raise KeyError
        assert (target / "config.json").read_text() == "old"
        with new_folder(target, overwrite=True) as folder:
            (folder / "config.json").write_text("new")
        assert [path.name for path in target.iterdir()] == ["config.json"]
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_only_an_earlier_export_is_overwritten(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("years of work")
        for name, text in {"config.json": "{}", README_NAME: f"On {MARK}"}.items():
            (tmp_path / name).write_text(text)
            with (
                pytest.raises(ExportError, match="is no folder that"),
                new_folder(tmp_path, overwrite=True),
            ):
                pass
        (tmp_path / README_NAME).write_text(MARK)
        (tmp_path / "photos").mkdir()
        with (
            pytest.raises(ExportError, match="is no folder that"),
            new_folder(tmp_path, overwrite=True),
        ):
            pass
        with pytest.raises(ExportError, match="no folder"), new_folder(tmp_path / "thesis.tex"):
            pass
        assert (tmp_path / "thesis.tex").read_text() == "years of work"

    def test_an_empty_folder_is_as_good_as_none(self, tmp_path):
        (tmp_path / "out").mkdir()
        with new_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("b")
        assert (tmp_path / "out" / "a").read_text() == "b"

    def test_a_disk_without_room_is_told_before_and_after(self, tmp_path):
        with (
            pytest.raises(ExportError, match=r"needs 1,000,000,000,000,000,000 bytes, and its disk has"),
            new_folder(tmp_path / "out", needed_bytes=10**18),
        ):
            pass
        with pytest.raises(ExportError, match="The disk is full"), new_folder(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")
        assert list(tmp_path.iterdir()) == []
