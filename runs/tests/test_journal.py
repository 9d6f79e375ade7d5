"""The journal: what a child writes comes back, whatever happened to the file."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.journal import JournalRecorder, read_events, storable
from runs.tests.support import checkpoint_info, evaluation_report, sample


@pytest.fixture
def path(tmp_path):
    return tmp_path / "attempt-1" / "metrics.jsonl"


@pytest.fixture
def recorder(path):
    return JournalRecorder(path, stop_asked=lambda: False)


def events(path, offset=0, **options):
    return [event for event, _ in read_events(path, offset, **options)]


def test_everything_that_is_recorded_comes_back_in_order(recorder, path, tmp_path):
    recorder.phase("compiling", 0)
    recorder.resumed(3)
    recorder.metrics(4, {"train/loss": 0.1, "train/grad_norm": 1e-300})
    recorder.checkpoint(checkpoint_info(tmp_path, 4))
    recorder.evaluation(evaluation_report(4))
    recorder.provenance({"jax": {"version": "0.12"}, "devices": ("cpu",)})
    recorder.end("completed", step=4, final_loss=0.1)
    found = events(path)
    assert [event["k"] for event in found] == [
        "phase",
        "resumed",
        "metrics",
        "checkpoint",
        "evaluation",
        "provenance",
        "end",
    ]
    assert found[2]["v"] == {"train/loss": 0.1, "train/grad_norm": 1e-300}
    assert found[3]["metadata"] == {"step": 4, "loss": 0.5}
    assert found[4]["samples"][0]["generated_text"] == "7+3=0\n#0"
    assert found[5]["facts"] == {"jax": {"version": "0.12"}, "devices": ["cpu"]}
    assert found[6]["status"] == "completed"


def test_a_file_that_is_not_there_yet_has_no_events(path):
    assert events(path) == []


def test_reading_goes_on_from_an_offset(recorder, path):
    recorder.phase("training", 0)
    [(_, offset)] = read_events(path, 0)
    recorder.phase("saving", 1)
    assert [event["name"] for event in events(path, offset)] == ["saving"]


def test_a_torn_last_line_is_no_event_until_it_is_whole(recorder, path):
    recorder.phase("training", 0)
    whole = b'{"k": "phase", "t": 1.0, "s": 1, "name": "saving"}\n'
    for cut in range(1, len(whole)):
        before = path.read_bytes()
        with path.open("ab") as file:
            file.write(whole[:cut])
        assert len(events(path)) == 1
        path.write_bytes(before)
    with path.open("ab") as file:
        file.write(whole)
    assert len(events(path)) == 2


@pytest.mark.parametrize(
    "line", [b"\n", b"{\n", b"[1]\n", b"\xff\xfe\n", b'{"k": "phase"}\n', b"\x00" * 5000 + b"\n"]
)
def test_a_damaged_line_in_the_middle_is_reported_and_hides_nothing_behind_it(recorder, path, line):
    recorder.phase("training", 0)
    with path.open("ab") as file:
        file.write(line)
    recorder.phase("saving", 1)
    first, damaged, last = events(path)
    assert (first["name"], last["name"]) == ("training", "saving")
    assert damaged["k"] == "damaged"
    assert damaged["bytes"] == len(line)


def test_a_large_journal_is_read_in_pieces(recorder, path):
    for step in range(50):
        recorder.metrics(step, {"train/loss": 1.0})
    offset, seen = 0, []
    while piece := list(read_events(path, offset, limit_bytes=300)):
        assert len(piece) < 10
        seen += [event["s"] for event, _ in piece]
        offset = piece[-1][1]
    assert seen == list(range(50))


@given(value=st.floats())
def test_every_number_survives_and_the_file_stays_json(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("journal") / "metrics.jsonl"
    JournalRecorder(path, stop_asked=lambda: False).metrics(1, {"train/loss": value})
    json.loads(path.read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    [event] = events(path)
    found = event["v"]["train/loss"]
    assert found == value if math.isfinite(value) else found in {"nan", "inf", "-inf"}


@given(text=st.text(st.characters(), max_size=30))
def test_any_generated_text_can_be_written_and_stored(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("journal") / "metrics.jsonl"
    recorder = JournalRecorder(path, stop_asked=lambda: False)
    recorder.evaluation(evaluation_report(1, samples=(sample(generated_text=text, generated_steps=(text,)),)))
    [event] = events(path)
    found = event["samples"][0]["generated_text"]
    assert found == event["samples"][0]["generated_steps"][0] == storable(text)
    assert "\x00" not in found
    found.encode()


def test_lone_surrogates_and_nul_leave_a_mark(recorder, path):
    recorder.evaluation(evaluation_report(1, samples=(sample(generated_text="a\x00b\ud800c"),)))
    [event] = events(path)
    assert event["samples"][0]["generated_text"] == "a\N{REPLACEMENT CHARACTER}b?c"


def test_a_stop_reaches_the_loop_through_the_recorder(path):
    asked: list[bool] = []
    recorder = JournalRecorder(path, stop_asked=lambda: bool(asked))
    assert not recorder.should_stop()
    asked.append(True)
    assert recorder.should_stop()


def test_log_lines_go_to_the_log_and_not_into_the_journal(path):
    said: list[str] = []
    JournalRecorder(path, stop_asked=lambda: False, say=said.append).log("Compiled in 3 s.")
    assert said == ["Compiled in 3 s."]
    assert events(path) == []
