"""A journal on a full or failing disk: no call fails, no line is torn, and what is lost is counted."""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from django.conf import settings

from runs.journal import JournalRecorder, read_events, torn_tail
from runs.journal_lines import in_words
from runs.journal_writer import JournalWriter


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


LIMITED = """
import resource, sys
from pathlib import Path
from runs.journal import JournalRecorder
path, limit = Path(sys.argv[1]), int(sys.argv[2])
said = []
recorder = JournalRecorder(path, stop_asked=lambda: False, say=said.append, end_wait_s=0.2)
recorder.phase("training", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for step in range(100):
    recorder.metrics(step, {"train/loss": 1.0})
assert path.stat().st_size == limit, path.stat().st_size
assert recorder.unwritten > 50
assert not recorder.flush(0.2)
assert len(said) == 1 and "cannot be written (File too large)" in said[0], said
if sys.argv[3] == "room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert recorder.flush(1)
    assert recorder.unwritten == 0
    assert "can be written again" in said[1], said
recorder.end("completed", step=100)
recorder.metrics(101, {"train/loss": 1.0})
print(recorder.unwritten)
"""


def limited(path, room):
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), "3001", room],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_that_may_not_grow_keeps_its_lines_in_memory_until_it_may(path):
    done = limited(path, "room")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert steps(path) == list(range(100))
    assert words(path) == []
    assert events(path)[-1]["k"] == "end"


def test_a_file_that_never_grows_again_ends_in_a_torn_line_and_tells_what_is_missing(path):
    done = limited(path, "none")
    assert done.returncode == 0, done.stderr
    whole = steps(path)
    assert whole == list(range(len(whole)))
    assert int(done.stdout) == 100 - len(whole) + 1
    assert torn_tail(path) > 0
    assert words(path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one MiB."""
    root = tmp_path / "disk"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems can't be mounted here")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_full_disk_costs_no_line_and_no_call_fails(small_disk):
    path = small_disk / "metrics.jsonl"
    recorder = recorder_of(path)
    recorder.phase("training", 0)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    began = time.monotonic()
    for step in range(1000):
        recorder.metrics(step, {"train/loss": 1.0})
    assert time.monotonic() - began < 1
    assert recorder.unwritten > 900
    releaser = threading.Timer(0.3, ballast.unlink)
    releaser.start()
    recorder.end("completed", step=1000)
    releaser.join()
    assert recorder.unwritten == 0
    assert steps(path) == list(range(1000))
    assert (words(path), torn_tail(path), events(path)[-1]["k"]) == ([], 0, "end")


def test_a_journal_whose_folder_cannot_be_made_yet_is_written_when_it_can(tmp_path):
    obstacle = tmp_path / "attempt-1"
    obstacle.write_text("in the way")
    said = []
    recorder = recorder_of(obstacle / "metrics.jsonl", say=said.append, header={"uid": "u"})
    recorder.metrics(1, {"a": 1.0})
    assert recorder.unwritten == 2
    obstacle.unlink()
    assert recorder.flush(1)
    assert [event["k"] for event in events(obstacle / "metrics.jsonl")] == ["run", "metrics"]
    assert len(said) == 2


def test_a_log_on_the_full_disk_does_not_raise_either(path):
    def refuse(_):
        raise OSError(28, "No space left on device")

    recorder_of(path, say=refuse).log("hello")


@pytest.fixture
def blocked(tmp_path):
    """A journal that cannot be written until ``open_up`` is called, with little memory."""
    folder = tmp_path / "attempt-1"
    folder.write_text("in the way")
    writer = JournalWriter(folder / "metrics.jsonl", memory_bytes=4000, retry_s=0)
    return writer, folder.unlink, folder / "metrics.jsonl"


def test_where_memory_ends_the_oldest_metrics_are_lost_and_counted(blocked):
    writer, open_up, path = blocked
    writer.append({"k": "phase", "t": 1.0, "s": 0, "name": "training"})
    for step in range(500):
        writer.append({"k": "metrics", "t": 1.0, "s": step, "v": {"a": 1.0}}, may_go=True)
        if step == 100:
            writer.append({"k": "phase", "t": 1.0, "s": step, "name": "saving"})
    assert writer.unwritten == 502
    open_up()
    assert writer.flush(1)
    found = events(path)
    assert [event["k"] for event in found if event["k"] != "metrics"] == ["phase", "lost", "phase", "lost"]
    lost = sum(event["count"] for event in found if event["k"] == "lost")
    kept = steps(path)
    assert kept == list(range(500 - len(kept), 500))
    assert lost + len(kept) == 500
    assert words(path)[0] == "101 journal lines found no room on the disk and were lost"
    assert "missing" not in str(words(path))
    assert path.stat().st_size < 4500


def test_where_only_other_events_wait_the_oldest_of_them_are_counted_too(blocked):
    writer, open_up, path = blocked
    for step in range(100):
        writer.append({"k": "phase", "t": 1.0, "s": step, "name": "x" * 50})
    open_up()
    writer.flush(1)
    lost, *kept = events(path)
    assert lost["count"] + len(kept) == 100
    assert kept[-1]["s"] == 99


def test_a_line_that_is_partly_written_is_finished_before_anything_else(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = JournalWriter(path, memory_bytes=2000, retry_s=0)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # A pipe takes part of a long line, and then none: as a disk does that fills up.
    writer._file.close()
    writer._file = os.fdopen(writing, "wb", buffering=0)
    for number in range(2000):
        writer.append({"k": "metrics", "t": 1.0, "s": number, "v": {"name": "x" * 100}}, may_go=True)
    assert writer.unwritten
    data, done = bytearray(), False
    while not done:
        data += os.read(reading, 1 << 16)
        done = writer.flush()
    os.set_blocking(reading, False)
    data += os.read(reading, 1 << 20)
    path.write_bytes(data)
    found = events(path)
    assert {event["k"] for event in found} == {"metrics", "lost"}
    assert sum(event.get("count", 1) for event in found) == 2000
    assert torn_tail(path) == 0


def test_threads_that_write_at_once_tear_no_line(path):
    recorder = recorder_of(path)
    threads = [
        threading.Thread(target=lambda n=n: [recorder.metrics(n * 1000 + s, {"a": 1.0}) for s in range(300)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(steps(path)) == sorted(n * 1000 + s for n in range(4) for s in range(300))
    assert words(path) == []


def test_nothing_comes_after_the_last_word_and_there_is_one(path):
    recorder = recorder_of(path)
    recorder.end("stopped", step=1)
    recorder.metrics(2, {"a": 1.0})
    recorder.end("completed", step=2)
    assert [(event["k"], event["status"]) for event in events(path)] == [("end", "stopped")]
