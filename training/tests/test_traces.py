"""The longest operations of a trace: own times, the right threads, and files that are no trace."""

import gzip
import json

import pytest

from training.errors import TrainingError
from training.traces import OPERATIONS_NAME, PLACES_NAME, newest_trace, summarise, write_summary


def named(pid, tid, thread, process="/host:CPU"):
    return [
        {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": process}},
        {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": thread}},
    ]


def event(name, ts, dur, *, pid=1, tid=7):
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": ts, "dur": dur}


def write(folder, events, name="vm.trace.json.gz"):
    path = folder / "plugins" / "profile" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        json.dump({"traceEvents": events}, file)
    return path


CPU = [
    *named(1, 7, "tf_XLAExecute/1"),
    *named(1, 8, "python"),
    event("outer", 0, 100),
    event("inner", 10, 30),
    event("inner", 50, 20),
    event("inner", 200, 50),
    event("end: outer", 100, 5),
    event("ThunkExecutor::Execute (wait for completion)", 300, 500),
    event("PjitFunction", 0, 900, tid=8),
]


def test_an_operations_own_time_is_without_what_runs_within_it(tmp_path):
    found = {one.name: one for one in summarise(write(tmp_path, CPU), {}).operations}
    assert found.keys() == {"outer", "inner"}
    assert found["inner"].count == 3
    assert found["inner"].seconds == pytest.approx(100e-6)
    assert found["outer"].seconds == pytest.approx(50e-6)
    assert found["inner"].share + found["outer"].share == pytest.approx(1)


def test_where_there_is_a_card_its_streams_count_and_the_host_does_not(tmp_path):
    card = [*named(2, 3, "Stream #12(Compute)", "/device:GPU:0"), event("fusion_7", 5, 40, pid=2, tid=3)]
    assert [one.name for one in summarise(write(tmp_path, CPU + card), {}).operations] == ["fusion_7"]


def test_the_tables_are_written_beside_the_trace(tmp_path):
    write(tmp_path, CPU)
    told = write_summary(tmp_path, {"inner": "mlp, forward"})
    kept = json.loads((tmp_path / OPERATIONS_NAME).read_text())
    assert [row["name"] for row in kept] == [one.name for one in told.operations] == ["inner", "outer"]
    assert [row["place"] for row in kept] == ["mlp, forward", "other"]
    parts = json.loads((tmp_path / PLACES_NAME).read_text())
    assert [(row["name"], round(row["share"], 3)) for row in parts] == [
        ("mlp, forward", 0.667),
        ("other", 0.333),
    ]


NO_TRACES = [b"", b"no gzip", gzip.compress(b"[1]"), gzip.compress(b'{"traceEvents": [1]}')]


@pytest.mark.parametrize("content", NO_TRACES)
def test_what_is_no_trace_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.trace.json.gz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"a\.trace\.json\.gz is no trace"):
        summarise(path, {})


def test_a_folder_without_a_trace_says_so(tmp_path):
    with pytest.raises(TrainingError, match="no trace below"):
        newest_trace(tmp_path)
