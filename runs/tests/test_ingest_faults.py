"""Feeding in hard cases: torn ends, much damage, points that come twice, a writer at the same time."""

import threading

import pytest

from runs.ingest import MAX_REASON, ingest_attempt, ingest_rest
from runs.models import Attempt, MetricPoint, Run
from runs.tests.support import PER_STEP, journal, journal_path, make_run, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt():
    return start(make_run())


def steps(run: Run, name: str = "train/loss") -> list[int]:
    rows = MetricPoint.objects.filter(run=run, name=name).order_by("step", "attempt")
    return list(rows.values_list("step", flat=True))


def record_steps(attempt: Attempt, numbers) -> None:
    recorder = journal(attempt)
    for step in numbers:
        recorder.metrics(step, dict.fromkeys(PER_STEP, float(step)))


def append(attempt: Attempt, line: bytes) -> None:
    with journal_path(attempt).open("ab") as file:
        file.write(line)


def test_what_a_crash_cut_off_at_the_end_is_named_when_the_writer_is_gone(attempt):
    record_steps(attempt, [1, 2])
    append(attempt, b'{"k": "metrics", "t"')
    assert ingest_rest(attempt) == 20
    assert steps(attempt.run) == [1, 2]
    said = "the last 20 bytes of its journal are no whole line and were dropped"
    assert Attempt.objects.get().reason == said
    ingest_rest(attempt)
    assert Attempt.objects.get().reason == said


def test_all_that_is_wrong_with_a_journal_adds_up_to_a_bounded_text(attempt):
    record_steps(attempt, [1])
    append(attempt, b"nothing\n")
    record_steps(attempt, [2])
    lines = journal_path(attempt).read_bytes().splitlines(keepends=True)
    journal_path(attempt).write_bytes(b"".join(lines[1:]))
    ingest_attempt(attempt)
    reason = Attempt.objects.get().reason
    assert reason == (
        "a journal line before byte 8 could not be read (line 0: it is no JSON); "
        "journal lines 0 to 1 are missing"
    )
    append(attempt, b"nothing\n" * 200)
    ingest_attempt(attempt)
    assert Attempt.objects.get().reason.endswith("; and more")
    assert len(Attempt.objects.get().reason) <= MAX_REASON + len("; and more")


def test_the_first_write_of_a_point_wins(attempt):
    record_steps(attempt, [1])
    ingest_attempt(attempt)
    recorder = journal(attempt)
    recorder.metrics(1, {"train/loss": 99.0, "train/new": 2.0})
    recorder.metrics(1, {"train/new": 3.0})
    ingest_attempt(attempt)
    assert MetricPoint.objects.get(name="train/loss", step=1).value == 1.0
    assert MetricPoint.objects.get(name="train/new", step=1).value == 2.0


def test_one_line_in_many_that_no_table_takes_costs_that_line_alone(attempt):
    recorder = journal(attempt)
    for step in range(100):
        recorder.metrics(step, {"n" * (81 if step == 37 else 80): 1.0})
    ingest_attempt(attempt)
    assert steps(attempt.run, "n" * 80) == [step for step in range(100) if step != 37]
    assert Attempt.objects.get().reason.count("no table can hold it") == 1


def test_feeding_while_the_child_writes_stores_each_point_once(attempt, monkeypatch):
    monkeypatch.setattr("runs.ingest.POINTS_A_BATCH", 50)
    recorder = journal(attempt)

    def write():
        for step in range(2000):
            recorder.metrics(step, {"train/loss": float(step)})

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        ingest_attempt(attempt)
    assert ingest_rest(attempt) == 0
    assert steps(attempt.run) == list(range(2000))
    assert Attempt.objects.get().reason == ""
