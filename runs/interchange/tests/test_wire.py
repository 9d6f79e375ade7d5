"""Wire format, checksums and framing: what is written is read again, and no bytes do harm."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.interchange import tfrecords, wandb_log
from runs.interchange.crc32c import crc32c, masked
from runs.interchange.tensorboard_events import read_event, scalar_event
from runs.interchange.tfrecords import Damage, Record, framed
from runs.interchange.wire import (
    WireError,
    bytes_field,
    double_field,
    int_field,
    read_fields,
    real,
    signed,
    varint,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert masked(0) == 0xA282EAD8


@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_checksum_goes_on_where_another_ended(data, cut):
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


@given(INT64, st.floats(allow_nan=False), st.binary(max_size=50))
def test_fields_come_back_as_written(whole, number, data):
    written = int_field(1, whole) + double_field(2, number) + bytes_field(3, data)
    (_, _, one), (_, _, two), (_, _, three) = read_fields(written)
    assert isinstance(one, int)
    assert signed(one) == whole
    assert real(two) == number
    assert three == data


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_a_word_about_them(data):
    try:
        read_event(data)
    except WireError as error:
        assert str(error)  # noqa: PT017  either outcome is right


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x08" + b"\xff" * 11, "more than ten bytes"),
        (b"\x08\x80", "cut off"),
        (b"\x0a\xff\xff\xff\xff\x0f" + b"x", "claims 4294967295 bytes where 1 are left"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x00", "field number 0"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(data, said):
    with pytest.raises(WireError, match=said):
        list(read_fields(data))


def test_a_message_nested_a_thousand_times_is_no_deeper_for_us():
    data = b""
    for _ in range(1000):
        data = bytes_field(5, data)
    assert read_event(data).scalars == []


@given(st.floats(), INT64.filter(lambda step: step >= 0), st.text(min_size=1, max_size=20), st.booleans())
def test_a_scalar_comes_back_as_written(value, step, tag, first):
    tag = tag.encode("utf-8", "replace").decode()
    event = read_event(scalar_event(tag, step=step, wall_time=1.5, value=value, first=first, exact=True))
    (scalar,) = event.scalars
    assert struct.pack("<d", scalar.value) == struct.pack("<d", value) or scalar.value != scalar.value
    assert (event.step, event.wall_time, scalar.tag) == (step, 1.5, tag)


def tf(data):
    return list(tfrecords.read_records(io.BytesIO(data), size=len(data)))


def wandb(data):
    whole = wandb_log.HEADER + data
    return list(wandb_log.read_records(_behind_header(whole), size=len(whole)))


def _behind_header(data):
    file = io.BytesIO(data)
    file.seek(len(wandb_log.HEADER))
    return file


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(0, 60))
def test_records_are_read_and_a_torn_tail_is_named(records, cut):
    data = b"".join(map(framed, records))
    cut = min(cut, len(data))
    found = tf(data[: len(data) - cut])
    whole = [one.data or b"" for one in found if isinstance(one, Record)]
    assert whole == records[: len(whole)]
    damage = [one for one in found if isinstance(one, Damage)]
    assert all(one.torn for one in damage)
    assert cut or len(whole) == len(records)
    if not damage:
        assert sum(len(framed(record)) for record in whole) == len(data) - cut


def test_a_flipped_bit_is_named_with_its_offset_and_the_next_record_is_read():
    first, second = framed(b"first"), framed(b"second")
    spoilt = bytearray(first + second)
    spoilt[13] ^= 1
    damage, record = tf(bytes(spoilt))
    assert (damage.offset, damage.ends) == (0, False)
    assert (record.offset, record.data) == (len(first), b"second")
    spoilt[1] ^= 1
    (damage,) = tf(bytes(spoilt))
    assert damage.ends
    assert "length" in damage.what


def test_a_length_that_no_file_has_takes_no_memory():
    length = struct.pack("<Q", 1 << 62)
    head = length + struct.pack("<I", masked(crc32c(length)))
    (damage,) = tf(head + b"x" * 100)
    assert damage.torn
    assert "4611686018427387904 bytes" in damage.what


def test_a_record_too_large_for_scalars_is_checked_and_not_kept(monkeypatch):
    monkeypatch.setattr(tfrecords, "MAX_KEPT", 10)
    monkeypatch.setattr(tfrecords, "_CHUNK", 7)
    large, small = tf(framed(b"x" * 1000) + framed(b"small"))
    assert (large.data, small.data) == (None, b"small")
    spoilt = bytearray(framed(b"x" * 1000))
    spoilt[500] ^= 1
    assert isinstance(tf(bytes(spoilt))[0], Damage)


@given(st.lists(st.integers(0, 100_000).map(lambda size: b"x" * size), max_size=6), st.integers(0, 40))
def test_records_of_wandb_cross_blocks_and_torn_tails_are_named(records, cut):
    data = b""
    for record in records:
        data += wandb_log.framed(record, len(wandb_log.HEADER) + len(data))
    cut = min(cut, len(data))
    found = wandb(data[: len(data) - cut])
    whole = [one.data for one in found if isinstance(one, Record)]
    assert whole == records[: len(whole)]
    assert all(one.torn for one in found if isinstance(one, Damage))
    assert cut or len(whole) == len(records)


@given(st.binary(max_size=300))
def test_no_bytes_behind_a_header_of_wandb_do_harm(data):
    for one in wandb(data):
        assert isinstance(one, Record | Damage)


def test_a_varint_is_as_short_as_it_can_be():
    assert varint(0) == b"\x00"
    assert varint(300) == b"\xac\x02"
    assert len(varint(-1)) == 10
