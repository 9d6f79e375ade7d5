"""Folders of event files: which are runs, which values count, what restarts and damage do."""

import os
import struct

import pytest

from runs.interchange.tests.support import (
    NOW,
    event,
    event_file,
    plugin,
    read,
    restart,
    scalars,
    simple,
    value_field,
)
from runs.interchange.wire import bytes_field, double_field, float_field, int_field
from tunix_site.errors import InvalidInputError


def tensor(kind: int, field: bytes, *sizes: int) -> bytes:
    shape = b"".join(bytes_field(2, int_field(1, size)) for size in sizes)
    return bytes_field(8, int_field(1, kind) + bytes_field(2, shape) + field)


def test_each_folder_with_event_files_is_a_run_named_by_its_path(tmp_path):
    root = tmp_path / "logs"
    scalars(root / "train", [("loss", 1, 0.5)])
    scalars(root / "deep" / "er", [("loss", 1, 0.25), ("loss", 2, 0.125)], at=NOW + 1)
    (root / "empty").mkdir()
    found = {run.name: points for run, points in read(root)}
    assert found == {
        "deep/er": {"loss": [(1, 0.25, ""), (2, 0.125, "")]},
        "train": {"loss": [(1, 0.5, "")]},
    }
    assert [run.name for run, _ in read(root, name="old")] == ["old/deep/er", "old/train"]
    assert read(root / "train")[0][0].name == "train"
    assert read(root / "train" / "events.out.tfevents.1.host", name="mine")[0][0].name == "mine"


def test_values_that_are_not_finite_keep_their_word(tmp_path):
    scalars(tmp_path, [("x", 1, float("nan")), ("x", 2, float("inf")), ("x", 3, float("-inf"))])
    assert read(tmp_path)[0][1] == {"x": [(1, None, "nan"), (2, None, "inf"), (3, None, "-inf")]}


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (1, bytes_field(4, struct.pack("<f", 0.5)), 0.5),
        (1, float_field(5, 0.5), 0.5),
        (1, bytes_field(5, struct.pack("<f", 0.5)), 0.5),
        (2, bytes_field(4, struct.pack("<d", 0.1)), 0.1),
        (2, double_field(6, 0.1), 0.1),
        (3, int_field(7, -7), -7.0),
        (3, bytes_field(7, b"\x07"), 7.0),
        (9, bytes_field(4, struct.pack("<q", -9)), -9.0),
        (10, int_field(11, 1), 1.0),
        (14, int_field(13, 0x3F80), 1.0),
        (19, int_field(13, 0x3C00), 1.0),
        (23, int_field(17, 2**63), float(2**63)),
        (1, b"", 0.0),
    ],
)
def test_tensors_of_one_number_are_scalars_where_their_plugin_says_so(tmp_path, kind, field, expected):
    event_file(tmp_path, event(3, value_field("t", tensor(kind, field) + plugin("scalars"))))
    assert read(tmp_path)[0][1] == {"t": [(3, expected, "")]}


def test_only_the_first_value_of_a_tag_needs_to_say_that_it_is_a_scalar(tmp_path):
    number = tensor(1, float_field(5, 2.0))
    event_file(
        tmp_path,
        event(1, value_field("t", number + plugin("scalars"))),
        event(2, value_field("t", number)),
        event(2, value_field("unknown", number)),
        event(2, value_field("p", tensor(1, bytes_field(5, b"\0" * 8), 2) + plugin("pr_curves"))),
        event(2, value_field("text", tensor(7, bytes_field(8, "words")) + plugin("text"))),
    )
    ((run, points),) = read(tmp_path)
    assert points == {"t": [(1, 2.0, ""), (2, 2.0, "")]}
    assert any("3 values that are no scalars" in notice for notice in run.notices)


def test_of_a_step_that_was_written_twice_the_last_counts(tmp_path):
    scalars(tmp_path, [("x", 1, 1.0), ("x", 2, 2.0)])
    event_file(tmp_path, event(2, simple("x", 5.0)), name="events.out.tfevents.2.host")
    assert read(tmp_path)[0][1] == {"x": [(1, 1.0, ""), (2, 5.0, "")]}


def test_a_restarted_writer_takes_back_what_it_overtook_in_every_tag(tmp_path):
    scalars(tmp_path, [(tag, step, 1.0) for step in range(10) for tag in ("x", "y")])
    event_file(tmp_path, restart(4), event(4, simple("x", 2.0)), name="events.out.tfevents.2.host")
    ((run, points),) = read(tmp_path)
    assert [step for step, *_ in points["x"]] == [0, 1, 2, 3, 4]
    assert [step for step, *_ in points["y"]] == [0, 1, 2, 3]
    assert "12 points were dropped" in run.notices[-1]


def test_hyper_parameters_of_its_plugin_become_the_config(tmp_path):
    def entry(name, value):
        return bytes_field(1, bytes_field(1, name) + bytes_field(2, value))

    start = (
        entry("lr", double_field(2, 0.1))
        + entry("opt", bytes_field(3, "adam"))
        + entry("ok", int_field(4, 1))
    )
    metadata = plugin("hparams", bytes_field(3, start))
    event_file(
        tmp_path, event(0, value_field("_hparams_/session_start_info", metadata)), event(1, simple("x", 1))
    )
    ((run, points),) = read(tmp_path)
    assert run.config == {"lr": 0.1, "opt": "adam", "ok": True}
    assert set(points) == {"x"}


def test_a_torn_tail_is_named_and_what_is_before_is_taken(tmp_path):
    file = scalars(tmp_path, [("x", 1, 1.0), ("x", 2, 2.0)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    ((run, points),) = read(tmp_path)
    assert points == {"x": [(1, 1.0, "")]}
    assert f"{file}, byte " in run.notices[0]
    assert "no whole record" in run.notices[0]


def test_damage_ends_an_import_with_file_and_offset_unless_it_is_to_go_on(tmp_path):
    file = scalars(tmp_path, [("x", 1, 1.0), ("x", 2, 2.7), ("x", 3, 3.0)])
    data = bytearray(file.read_bytes())
    offset = data.index(struct.pack("<f", 2.7))
    data[offset] ^= 1
    file.write_bytes(data)
    with pytest.raises(InvalidInputError, match=rf"{file.name}, byte \d+: the checksum"):
        read(tmp_path)
    ((run, points),) = read(tmp_path, keep_going=True)
    assert points == {"x": [(1, 1.0, ""), (3, 3.0, "")]}
    assert "the record was left out" in run.notices[0]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (event(-1, simple("x", 1.0)), "step -1"),
        (event(2**40, simple("x", 1.0)), f"step {2**40}"),
        (event(1, simple("", 1.0)), "a metric without a name"),
        (event(1, simple("x", 1.0), at=1e300), "no time"),
        (event(1, simple("x", 1.0), at=float("nan")), "no time"),
        (b"\x2a\xff\xff\xff\xff\x0f", "claims 4294967295 bytes"),
    ],
)
def test_events_that_no_run_can_hold_are_refused_with_their_offset(tmp_path, bad, said):
    event_file(tmp_path, event(1, simple("x", 1.0)), bad)
    with pytest.raises(InvalidInputError, match=r"byte \d+") as caught:
        read(tmp_path)
    assert said in caught.value.message
    assert read(tmp_path, keep_going=True)[0][1] == {"x": [(1, 1.0, "")]}


def test_links_are_not_followed_and_pipes_not_opened(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    secret = scalars(outside, [("secret", 1, 1.0)])
    scalars(root, [("x", 1, 1.0)])
    (root / "linked").symlink_to(outside)
    (root / "events.out.tfevents.9.link").symlink_to(secret)
    os.mkfifo(root / "events.out.tfevents.9.pipe")
    ((run, points),) = read(root)
    assert set(points) == {"x"}
    assert "links are not followed" in run.notices[-1]


def test_the_identity_stays_as_a_run_grows_and_differs_between_runs(tmp_path):
    first = scalars(tmp_path / "a", [("x", 1, 1.0)])
    scalars(tmp_path / "b", [("x", 1, 1.0)], at=NOW + 0.001)
    (one, _), (two, _) = read(tmp_path)
    assert one.identity != two.identity
    scalars(first.parent, [("x", 1, 1.0), ("x", 2, 2.0)])
    moved = tmp_path / "moved"
    first.parent.rename(moved)
    assert read(moved)[0][0].identity == one.identity
