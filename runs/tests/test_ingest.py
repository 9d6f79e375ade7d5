"""From the journal into the database: everything once, in the face of crashes, damage and late writers."""

import json
from dataclasses import replace

import pytest
from django.db import OperationalError, connection

from runs import services
from runs.ingest import FencedOutError, ingest_attempt
from runs.metrics.checking import differences
from runs.models import Attempt, Benchmark, Checkpoint, Evaluation, MetricPoint, Run, Sample
from runs.states import Kind, Status
from runs.tests.support import (
    PER_STEP,
    checkpoint_info,
    claim,
    evaluation_report,
    finish,
    fresh,
    journal,
    journal_path,
    make_dataset,
    make_run,
    run_in,
    sample,
    start,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def attempt():
    return start(make_run(dataset=make_dataset()))


def steps(run: Run, name: str = "train/loss", **which) -> list[int]:
    rows = MetricPoint.objects.filter(run=run, name=name, **which).order_by("step", "attempt")
    return list(rows.values_list("step", flat=True))


def record_steps(attempt: Attempt, numbers) -> None:
    recorder = journal(attempt)
    for step in numbers:
        recorder.metrics(step, dict.fromkeys(PER_STEP, float(step)))


def append(attempt: Attempt, line: bytes) -> None:
    with journal_path(attempt).open("ab") as file:
        file.write(line)


def resumed(attempt: Attempt, *, step: int) -> Attempt:
    """The next attempt of the same run, going on after ``step``."""
    finish(attempt, Status.LOST)
    run = fresh(attempt.run)
    services.resume_run(run, deliver=False)
    following = claim(run)
    assert following is not None
    journal(following).resumed(step)
    return following


def test_points_of_every_name_come_in_and_the_run_shows_its_step(attempt):
    record_steps(attempt, range(1, 6))
    assert ingest_attempt(attempt) == 5
    for name in PER_STEP:
        assert steps(attempt.run, name) == [1, 2, 3, 4, 5]
    assert fresh(attempt.run).step == 5
    assert Attempt.objects.get().end_step == 5


def test_storing_twice_stores_once(attempt):
    record_steps(attempt, range(1, 6))
    ingest_attempt(attempt)
    assert ingest_attempt(attempt) == 0
    Attempt.objects.update(journal_offset=0)
    assert ingest_attempt(Attempt.objects.get()) == 5
    assert steps(attempt.run) == [1, 2, 3, 4, 5]


def test_a_crash_while_storing_repeats_nothing_and_loses_nothing(attempt):
    record_steps(attempt, range(1, 4))
    ingest_attempt(attempt)
    record_steps(attempt, range(4, 8))
    where = attempt.journal_offset

    def go_away(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and '"runs_attempt"' in sql:
            raise OperationalError("the connection was lost")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(go_away), pytest.raises(OperationalError):
        ingest_attempt(attempt)
    assert attempt.journal_offset == Attempt.objects.get().journal_offset == where
    assert steps(attempt.run) == [1, 2, 3]
    ingest_attempt(attempt)
    assert steps(attempt.run) == [1, 2, 3, 4, 5, 6, 7]


def test_numbers_that_are_not_finite_are_kept_as_what_they_were(attempt):
    journal(attempt).metrics(1, {"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 1e308})
    ingest_attempt(attempt)
    rows = MetricPoint.objects.values_list("name", "value", "non_finite").order_by("name")
    assert list(rows) == [("a", None, "nan"), ("b", None, "inf"), ("c", None, "-inf"), ("d", 1e308, "")]


def test_text_that_postgresql_cannot_hold_comes_in_marked(attempt):
    wild = sample(prompt="\x00\ud800", generated_text="x\x00y", generated_steps=("\x00",), answer="\udfff")
    journal(attempt).evaluation(evaluation_report(5, samples=(wild, sample(answer=None, correct=False))))
    journal(attempt).provenance({"command": "python \udcff\x00"})
    ingest_attempt(attempt)
    first, second = Sample.objects.order_by("position")
    assert first.generated_text == "x\N{REPLACEMENT CHARACTER}y"
    assert first.answer == "?"
    assert second.answer is None
    assert "\x00" not in json.dumps(fresh(attempt.run).provenance)


@pytest.mark.parametrize(
    "line",
    [
        b"nothing\n",
        b'{"k": "metrics", "t": 1.0}\n',
        b'{"k": "metrics", "t": 1.0, "s": "x", "v": {"a": 1}}\n',
        b'{"k": "metrics", "t": 1.0, "s": 1, "v": {"a": [1]}}\n',
        b'{"k": "metrics", "t": 1.0, "s": 1, "v": 7}\n',
        b'{"k": "phase", "t": "yesterday", "s": 1, "name": "training"}\n',
        b'{"k": "phase", "t": 1e300, "s": 1, "name": "training"}\n',
        b'{"k": "phase", "t": 1.0, "s": 1, "name": "a\\u0000b\\ud800"}\n',
        b'{"k": "evaluation", "t": 1.0, "s": 1}\n',
        b'{"k": "end", "t": 1.0}\n',
    ],
    ids=range(10),
)
def test_a_damaged_line_is_reported_and_costs_nothing_else(attempt, line):
    record_steps(attempt, [1, 2])
    append(attempt, line)
    record_steps(attempt, [3, 4])
    ingest_attempt(attempt)
    assert steps(attempt.run) == [1, 2, 3, 4]
    row = Attempt.objects.get()
    assert row.journal_offset == journal_path(attempt).stat().st_size
    assert "a journal line before byte" in row.reason


def test_a_torn_last_line_waits_for_its_rest(attempt):
    record_steps(attempt, [1])
    append(attempt, b'{"k": "metrics", "t": 1.0, "s": 2, "v": {"train/lo')
    ingest_attempt(attempt)
    assert steps(attempt.run) == [1]
    append(attempt, b'ss": 2.0}}\n')
    ingest_attempt(attempt)
    assert steps(attempt.run) == [1, 2]


def test_a_resume_marks_what_it_overtakes_and_keeps_it(attempt, tmp_path):
    run = attempt.run
    record_steps(attempt, range(1, 8))
    recorder = journal(attempt)
    for step in (3, 6):
        recorder.checkpoint(checkpoint_info(tmp_path, step))
        recorder.evaluation(evaluation_report(step))
    ingest_attempt(attempt)
    again = resumed(attempt, step=3)
    record_steps(again, range(4, 11))
    ingest_attempt(again)
    assert steps(run, superseded=False) == list(range(1, 11))
    assert steps(run, superseded=True) == [4, 5, 6, 7]
    assert steps(run, attempt=1) == [1, 2, 3, 4, 5, 6, 7]
    for model in (Checkpoint, Evaluation):
        assert list(model.objects.order_by("step").values_list("step", "superseded")) == [
            (3, False),
            (6, True),
        ]
    assert Attempt.objects.get(number=2).start_step == 3
    assert fresh(run).step == 10


def test_an_evaluation_that_was_cut_off_gives_way_to_the_one_that_was_finished(attempt):
    recorder = journal(attempt)
    recorder.metrics(3, {"eval/answer_accuracy": 0.75})
    recorder.evaluation(evaluation_report(3))
    ingest_attempt(attempt)
    again = resumed(attempt, step=3)
    journal(again).metrics(3, {"eval/answer_accuracy": 0.75})
    journal(again).evaluation(evaluation_report(3))
    ingest_attempt(again)
    assert steps(attempt.run, "eval/answer_accuracy", superseded=False) == [3]
    assert Evaluation.objects.get(superseded=False).attempt == 2


@pytest.mark.parametrize("late", [False, True])
def test_what_two_attempts_measured_at_the_step_of_a_resume_counts_once(attempt, late):
    recorder = journal(attempt)
    record_steps(attempt, [1, 2, 3])
    recorder.system(3, {"system/host_memory": 1.0})
    recorder.metrics(3, {"system/checkpoint_time": 0.5})
    if not late:
        ingest_attempt(attempt)
    again = resumed(attempt, step=3)
    journal(again).system(3, {"system/host_memory": 2.0})
    record_steps(again, [4])
    journal(again).system(4, {"system/host_memory": 3.0})
    ingest_attempt(again)
    if late:
        ingest_attempt(attempt, overtaken=True)
    rows = MetricPoint.objects.filter(name="system/host_memory", superseded=False).order_by("step")
    assert list(rows.values_list("step", "value")) == [(3, 2.0), (4, 3.0)]
    assert steps(attempt.run, "system/checkpoint_time", superseded=False) == [3]
    assert steps(attempt.run, superseded=False) == [1, 2, 3, 4]
    assert not list(differences(attempt.run))


def test_an_attempt_that_was_overtaken_writes_nothing(attempt):
    run = attempt.run
    record_steps(attempt, [1])
    ingest_attempt(attempt)
    record_steps(attempt, [2, 3])
    finish(attempt, Status.LOST)
    services.resume_run(fresh(run), deliver=False)
    before = Run.objects.values().get(pk=run.pk)
    with pytest.raises(FencedOutError):
        ingest_attempt(attempt)
    assert steps(run) == [1]
    assert Run.objects.values().get(pk=run.pk) == before


def test_an_evaluation_keeps_its_samples_in_order(attempt):
    samples = tuple(sample(prompt=str(number)) for number in range(30))
    journal(attempt).evaluation(evaluation_report(10, samples=samples, final=True, loss=float("nan")))
    ingest_attempt(attempt)
    row = Evaluation.objects.get()
    assert (row.run, row.made_by, row.dataset) == (attempt.run, attempt.run, attempt.run.dataset)
    assert (row.correct, row.n, row.interval_low, row.loss) == (9, 12, 0.468, None)
    assert [one.prompt for one in row.samples.all()] == [str(number) for number in range(30)]


def test_the_evaluation_of_another_run_is_about_that_run(attempt):
    finish(attempt)
    grading = start(make_run(kind=Kind.EVALUATE, parent=attempt.run, dataset=attempt.run.dataset))
    journal(grading).evaluation(evaluation_report(10))
    ingest_attempt(grading)
    assert Evaluation.objects.get().run == attempt.run
    assert Evaluation.objects.get().made_by == grading.run


def test_checkpoints_that_are_gone_are_marked_removed_with_the_reason(attempt, tmp_path):
    recorder = journal(attempt)
    recorder.checkpoint(checkpoint_info(tmp_path, 5))
    recorder.checkpoint(checkpoint_info(tmp_path, 10))
    recorder.checkpoint_gone(5, str(tmp_path / "5"), "retention", 1234)
    ingest_attempt(attempt)
    gone = Checkpoint.objects.get(step=5)
    assert gone.removed_at is not None
    assert gone.removed_why == "retention"
    assert Checkpoint.objects.get(step=10).removed_at is None


def test_what_a_save_took_becomes_points_of_its_step(attempt, tmp_path):
    info = replace(checkpoint_info(tmp_path, 5), stall_seconds=0.25, write_seconds=2.5)
    journal(attempt).checkpoint(info)
    ingest_attempt(attempt)
    points = MetricPoint.objects.filter(step=5).values_list("name", "value")
    assert dict(points) == {"system/checkpoint_stall": 0.25, "system/checkpoint_time": 2.5}


def test_a_start_that_is_not_exact_says_so(attempt):
    journal(attempt).resumed(4, "micro_batch 4 → 8")
    ingest_attempt(attempt)
    attempt.refresh_from_db()
    assert (attempt.start_step, attempt.inexact) == (4, "micro_batch 4 → 8")


def test_the_last_word_fills_the_run(attempt):
    journal(attempt).end("completed", step=10, final_loss=0.5, params_hash="f" * 64, reason="")
    ingest_attempt(attempt)
    run = fresh(attempt.run)
    assert (run.step, run.final_loss, run.params_hash, run.phase) == (10, 0.5, "f" * 64, "finished")
    assert run.status == Status.STARTING
    assert Attempt.objects.get().last_word["status"] == "completed"


def test_provenance_stands_in_the_row_and_in_a_file(attempt):
    journal(attempt).provenance({"host": "here", "share": float("inf")})
    ingest_attempt(attempt)
    file = attempt.run.directory / "provenance.json"
    assert json.loads(file.read_text()) == fresh(attempt.run).provenance == {"host": "here", "share": "inf"}


def test_a_benchmark_that_completed_leaves_a_row_and_a_file(artifacts_dir):
    attempt = start(make_run(kind=Kind.BENCH))
    record = {
        "model": "nano",
        "batch_size": 4,
        "sequence_length": 64,
        "precision": "fp32",
        "step_time": {"median": 0.01, "p10": 0.009, "p90": 0.02},
        "tokens_per_second": 25_000.0,
    }
    journal(attempt).provenance({"jax": "0.12"})
    journal(attempt).end("completed", step=10, result=record)
    ingest_attempt(attempt)
    row = Benchmark.objects.get()
    assert (row.run, row.step_time_median, row.model) == (attempt.run, 0.01, "nano")
    assert row.record["step_time"] == record["step_time"]
    assert row.record["provenance"] == {"jax": "0.12"}
    assert json.loads((artifacts_dir / "benchmarks" / f"{row.pk}.json").read_text()) == row.record


def test_a_benchmark_that_failed_leaves_no_row():
    attempt = start(make_run(kind=Kind.BENCH))
    journal(attempt).end("failed", reason="out of memory")
    ingest_attempt(attempt)
    assert not Benchmark.objects.exists()


def test_a_run_that_was_deleted_takes_nothing_in():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.select_related("run").get()
    record_steps(attempt, [2])
    Run.objects.get(pk=run.pk).delete()
    with pytest.raises(FencedOutError):
        ingest_attempt(attempt)
