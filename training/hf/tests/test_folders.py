"""The folders that tests work on are those that the libraries of others read."""

import json

import pytest

from training.hf.tests.folders import FAMILIES, FIXTURES, fixture_tensors, model_folder

np = pytest.importorskip("numpy")
safetensors = pytest.importorskip("safetensors.numpy")


@pytest.mark.parametrize("family", FAMILIES)
def test_one_file_holds_the_fixture(tmp_path, family):
    folder = model_folder(tmp_path / family, family)
    found = safetensors.load_file(folder / "model.safetensors")
    with np.load(FIXTURES / f"{family}.npz") as stored:
        assert found.keys() == set(stored.files) - {"input_ids", "logits"}
        assert all(np.array_equal(found[name], stored[name]) for name in found)


def test_shards_hold_it_too_and_the_index_says_where(tmp_path):
    folder = model_folder(tmp_path, "qwen3", shards=3, dtype="F16")
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == fixture_tensors("qwen3").keys()
    for file in set(index.values()):
        found = safetensors.load_file(folder / file)
        assert found.keys() == {name for name, where in index.items() if where == file}
        assert {array.dtype for array in found.values()} == {np.dtype("float16")}
