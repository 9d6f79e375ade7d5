"""A journal that was cut, bent or lost lines: what is wrong is found and named, the rest counts."""

import json
import random

import pytest

from runs.journal import JournalRecorder, read_events, torn_tail
from runs.journal_lines import LOOK_BACK, in_words, is_sealed, is_whole, seal
from runs.tests.support import evaluation_report

REPORTS = {"damaged", "missing"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attempt-1" / "metrics.jsonl"


def recorder_of(path, **options):
    return JournalRecorder(path, stop_asked=lambda: False, **options)


def events(path, offset=0, **options):
    return [event for event, _ in read_events(path, offset, **options)]


def words(path, offset=0):
    return [in_words(event) for event in events(path, offset) if in_words(event)]


def steps(path):
    return [event["s"] for event in events(path) if event["k"] == "metrics"]


def small_journal(path, count=6):
    recorder = recorder_of(path, header={"uid": "u"})
    recorder.phase("training", 0)
    for step in range(count):
        recorder.metrics(step, {"train/loss": 1 / (step + 1)})
    recorder.evaluation(evaluation_report(count))
    recorder.end("completed", step=count)
    return path.read_bytes()


def test_every_line_is_json_and_ends_in_its_number_and_checksum(path):
    small_journal(path)
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
        assert list(json.loads(line))[-2:] == ["i", "c"]
        assert json.loads(line)["i"] == number
        assert is_sealed(line)
        assert is_whole(line)


def test_numbers_go_on_where_a_file_is_opened_again(path):
    recorder_of(path).phase("training", 0)
    recorder_of(path).metrics(1, {"a": 1.0})
    # Longer than what is looked at to find the number.
    recorder_of(path).provenance({"text": "x" * LOOK_BACK})
    recorder_of(path).metrics(2, {"a": 1.0})
    assert [json.loads(line)["i"] for line in path.read_bytes().splitlines()] == [0, 1, 2, 3]
    assert words(path) == []


def test_the_header_is_the_first_line_of_a_new_file_and_of_no_other(path):
    for _ in range(2):
        recorder_of(path, header={"uid": "u", "total_steps": 5, "lr": float("inf")}).phase("training", 0)
    first, *others = events(path)
    assert (first["k"], first["uid"], first["total_steps"], first["lr"]) == ("run", "u", 5, "inf")
    assert first["format"] == 2
    assert [event["k"] for event in others] == ["phase", "phase"]


def test_an_older_journal_without_checksums_is_read_and_written_on(path):
    path.parent.mkdir()
    old = {"k": "evaluation", "t": 1.0, "s": 1, "n": 12}
    path.write_text("".join(json.dumps({**old, "s": step}) + "\n" for step in range(3)))
    recorder_of(path).metrics(3, {"a": 1.0})
    assert [event["s"] for event in events(path)] == [0, 1, 2, 3]
    assert events(path)[0] == {**old, "s": 0}
    assert json.loads(path.read_bytes().splitlines()[-1])["i"] == 3


def test_cut_anywhere_the_whole_lines_count_and_the_rest_is_named(path):
    whole = small_journal(path)
    ends, complete = [end for _, end in read_events(path, 0)], events(path)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        count = sum(end <= cut for end in ends)
        assert events(path) == complete[:count]
        last = max([0, *(end for end in ends if end <= cut)])
        assert torn_tail(path) == torn_tail(path, last) == cut - last


def test_a_torn_end_becomes_a_line_of_its_own_when_writing_goes_on(path):
    whole = small_journal(path, count=2)
    lines = whole.splitlines(keepends=True)
    for cut in range(1, len(lines[2]) - 1):
        path.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
        recorder_of(path).metrics(9, {"a": 1.0})
        *kept, damaged, after = events(path)
        assert [event["k"] for event in kept] == ["run", "phase"]
        assert (damaged["k"], damaged["line"], damaged["bytes"]) == ("damaged", 2, cut + 1)
        assert (after["s"], torn_tail(path)) == (9, 0)
    path.write_bytes(b"".join(lines[:3])[:-1])
    recorder_of(path).metrics(9, {"a": 1.0})
    assert (steps(path), words(path)) == ([0, 9], [])


def test_a_bent_bit_is_found_and_named_wherever_it_is(path):
    whole = small_journal(path)
    complete = events(path)
    places = list(range(len(whole) * 8))
    random.Random(7).shuffle(places)
    for place in places[:6000]:
        bent = bytearray(whole)
        bent[place // 8] ^= 1 << place % 8
        path.write_bytes(bent)
        found = events(path)
        good = [event for event in found if event["k"] not in REPORTS]
        assert all(event in complete for event in good), place
        named = len(good) < len(found) or torn_tail(path)
        assert named, place


def test_damage_that_keeps_the_json_whole_is_found_by_the_checksum(path):
    small_journal(path)
    path.write_bytes(path.read_bytes().replace(b'"train/loss":0.5', b'"train/loss":0.6'))
    [text] = words(path)
    assert text.startswith("a journal line before byte ")
    assert text.endswith(" could not be read (line 3: its checksum is wrong)")
    assert steps(path) == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("gone", "said"), [((3,), "line 3 is"), ((0,), "line 0 is"), ((2, 3, 4), "lines 2 to 4 are")]
)
def test_lines_that_are_gone_are_named_and_hide_nothing(path, gone, said):
    small_journal(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for number, line in enumerate(lines) if number not in gone))
    assert words(path) == [f"journal {said} missing"]
    assert len(events(path)) == len(lines) - len(gone) + 1
    # The same from every offset, for a reader starts again where it was.
    for _, end in list(read_events(path, 0)):
        assert words(path, end) in ([], [f"journal {said} missing"])


def test_a_reader_that_starts_behind_damage_sees_no_gap_there(path):
    small_journal(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"loss", b"lost")
    path.write_bytes(b"".join(lines))
    assert words(path, len(b"".join(lines[:4]))) == []


def test_a_line_whose_checksum_key_alone_is_bent_is_no_older_line(path):
    path.parent.mkdir()
    path.write_bytes(seal({"k": "metrics", "t": 1.0, "s": 1, "v": {}}, 0).replace(b'"c"', b'"b"'))
    assert words(path) == [
        "a journal line before byte 58 could not be read (line 0: its checksum is missing)"
    ]
