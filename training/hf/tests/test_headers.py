"""Headers of safetensors files: sound ones are read, crafted ones are refused, and neither costs memory."""

import json
import os
import struct
import time
import tracemalloc
from typing import Any

import pytest

from training.errors import ConfigError
from training.hf.headers import MAX_HEADER, read_header, read_json
from training.hf.tests.folders import Stored, write_safetensors, zeros


def write(path, header, data=bytes(16), *, length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    file = path / "one.safetensors"
    file.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return file


def tensor(begin=0, end=16, shape=(2, 2), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


CRAFTED: dict[str, Any] = {
    "is longer than the file": ({"a": tensor()}, bytes(16), 1000, "cut off: its header"),
    "claims 9 EB": ({"a": tensor()}, bytes(16), 2**63, "no safetensors file"),
    "holds no JSON": (b"{" * 40, bytes(16), None, "no sound JSON"),
    "nests without end": (b'{"a":' + b"[" * 100_000, bytes(16), None, "no sound JSON"),
    "is no object": (b"[1, 2, 3]   ", bytes(16), None, "must hold a JSON object"),
    "holds NaN": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,16]}}', bytes(16), None, "NaN"),
    "is no UTF-8": (b'{"\xff\xfe": 1}', bytes(16), None, "no sound JSON"),
    "names a tensor twice": (b'{"a":{"shape":[1]},"a":{"shape":[1]}}', bytes(16), None, "there twice"),
    "holds half a surrogate": (b'{"a\\ud800":{"shape":[1]}}', bytes(16), None, "half of a surrogate pair"),
    "has a negative offset": ({"a": tensor(-1, 15)}, bytes(16), None, "no sound shape and data_offsets"),
    "goes backwards": ({"a": tensor(16, 0)}, bytes(16), None, "no sound shape and data_offsets"),
    "has fractions": ({"a": tensor(0, 16.0)}, bytes(16), None, "no sound shape and data_offsets"),
    "counts truth as a number": ({"a": tensor(shape=(True, 4))}, bytes(16), None, "no sound shape"),
    "has no offsets": ({"a": {"dtype": "F32", "shape": [4]}}, bytes(16), None, "no sound shape"),
    "has a wrong size": ({"a": tensor(shape=(2, 3))}, bytes(16), None, "not its shape"),
    "multiplies beyond all bounds": ({"a": tensor(shape=[2**62] * 16)}, bytes(16), None, "not its shape"),
    "overlaps": ({"a": tensor(0, 16), "b": tensor(8, 24)}, bytes(24), None, "overlaps"),
    "leaves a gap": ({"a": tensor(0, 16), "b": tensor(20, 36)}, bytes(36), None, "leaves a gap"),
    "goes beyond the end": ({"a": tensor()}, bytes(12), None, "is cut off"),
    "ends too early": ({"a": tensor()}, bytes(20), None, "bytes follow"),
    "is quantised": ({"a": tensor(0, 16, (16,), "U8")}, bytes(16), None, "is stored as U8"),
    "has a type of its own": ({"a": tensor(dtype="XX")}, bytes(16), None, "no type that is known"),
    "has a type that is a list": ({"a": tensor(dtype=["F32"])}, bytes(16), None, "no type that is known"),
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_header_that_is_crafted_is_refused(tmp_path, what):
    header, data, length, said = CRAFTED[what]
    with pytest.raises(ConfigError, match=said) as refused:
        read_header(write(tmp_path, header, data, length=length))
    assert "one.safetensors" in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("what", CRAFTED)
def test_the_library_refuses_them_too_or_cannot_know(tmp_path, what):
    pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors")
    header, data, length, _ = CRAFTED[what]
    file = write(tmp_path, header, data, length=length)
    if what == "is quantised":  # well formed, and of no use to us
        safetensors.safe_open(file, framework="np")
        return
    with pytest.raises(safetensors.SafetensorError):
        safetensors.safe_open(file, framework="np")


def test_a_sound_header_says_where_everything_lies(tmp_path):
    file = tmp_path / "one.safetensors"
    write_safetensors(
        file, [("a", zeros((2, 3))), ("b", Stored("BF16", (2,), b"abcd")), ("c", zeros((0, 2)))]
    )
    places = read_header(file)
    assert {name: (one.dtype, one.shape, one.size) for name, one in places.items()} == {
        "a": ("F32", (2, 3), 24),
        "b": ("BF16", (2,), 4),
        "c": ("F32", (0, 2), 0),
    }
    assert file.read_bytes()[places["b"].begin :][:4] == b"abcd"


def test_an_empty_file_and_one_of_a_few_bytes_are_cut_off(tmp_path):
    for size in (0, 5, 9):
        file = tmp_path / "one.safetensors"
        file.write_bytes(bytes(size))
        with pytest.raises(ConfigError, match="cut off"):
            read_header(file)


def test_memory_stays_bounded_whatever_the_header_claims(tmp_path):
    file = write(tmp_path, b"{}", length=MAX_HEADER + 1)
    os.truncate(file, 1 << 33)  # sparse: takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="no safetensors file"):
            read_header(file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    pipe = tmp_path / "one.safetensors"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="no regular file"):
        read_header(pipe)
    link = tmp_path / "two.safetensors"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="leads to nothing"):
        read_header(link)


def test_a_name_that_is_there_twice_among_very_many_is_found_at_once():
    keys = ",".join(f'"{number:x}":0' for number in range(60_000))
    begun = time.process_time()
    with pytest.raises(ConfigError, match="'ea5f' is there twice"):
        read_json(f'{{{keys},"ea5f":0}}'.encode(), "one.json")
    assert time.process_time() - begun < 5


def test_a_whole_surrogate_pair_is_text():
    assert read_json(rb'{"\ud83d\ude00": "\\ud83d"}', "one.json") == {"\N{GRINNING FACE}": r"\ud83d"}
