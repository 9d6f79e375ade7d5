"""What is stored of an evaluation: settings, checkpoint, every text; old journals; several attempts."""

import json

import pytest

from runs import services
from runs.endings import Circumstances
from runs.evaluations.asking import Wanted, make_evaluation
from runs.evaluations.tests.support import drawn, evaluated, trained
from runs.finishing import finish as end_attempt
from runs.ingest import ingest_attempt
from runs.models import Evaluation, Run, Sample
from runs.states import Status
from runs.tests.samples_support import graded
from runs.tests.support import (
    checkpoint_info,
    claim,
    evaluation_report,
    finish,
    fresh,
    journal,
    journal_path,
    make_dataset,
    make_run,
    sample,
    start,
)

pytestmark = pytest.mark.django_db


def test_settings_checkpoint_and_every_draw_are_stored():
    run = trained()
    samples = drawn("a", ["0", "1", "0"], True) + drawn("b", ["1", "1", "0"], False)
    row = evaluated(run, samples, pass_at={"1": 0.5, "3": 1.0}, majority_accuracy=0.5, subset_seed=3)
    assert row.checkpoint == run.checkpoints.get()
    assert (row.grader, row.grader_version, row.limit, row.subset_seed, row.draws) == ("auto", 1, 6, 3, 3)
    assert (row.pass_at, row.majority_accuracy) == ({"1": 0.5, "3": 1.0}, 0.5)
    assert row.decoding["max_new_tokens"] == 24
    texts = Sample.objects.filter(evaluation=row).values_list(
        "position", "draw", "prompt", "answer", "majority_correct"
    )
    assert list(texts) == [
        (0, 0, "a", "0", True), (0, 1, "a", "1", None), (0, 2, "a", "0", None),
        (1, 0, "b", "1", False), (1, 1, "b", "1", None), (1, 2, "b", "0", None),
    ]  # fmt: skip


def test_a_journal_from_before_these_were_recorded_is_read():
    attempt = start(make_run(dataset=make_dataset()))
    journal(attempt).evaluation(evaluation_report(10, samples=(sample(prompt="a"), sample(prompt="b"))))
    path = journal_path(attempt)
    event = next(one for one in map(json.loads, path.read_text().splitlines()) if one["k"] == "evaluation")
    known = {
        "k", "t", "s", "step", "split", "n", "correct", "loss", "answer_accuracy", "interval",
        "step_accuracy", "seconds", "generated_tokens", "final", "samples", "overlap",
    }  # fmt: skip
    old = {name: value for name, value in event.items() if name in known}
    of_sample = {
        "trace_id", "prompt", "expected_steps", "expected_answer", "generated_text", "generated_steps",
        "steps_valid", "answer", "correct", "rule",
    }  # fmt: skip
    old["samples"] = [{name: one[name] for name in of_sample} for one in old["samples"]]
    path.write_text(json.dumps(old) + "\n")
    ingest_attempt(attempt)
    row = Evaluation.objects.get()
    assert (row.grader, row.results_hash, row.decoding, row.limit, row.draws) == ("", "", {}, None, 1)
    assert list(row.samples.values_list("position", "draw", "prompt")) == [(0, 0, "a"), (1, 0, "b")]


@pytest.mark.parametrize("saved_first", [True, False])
def test_an_evaluation_during_training_names_its_checkpoint_whichever_was_done_first(tmp_path, saved_first):
    attempt = start(make_run(dataset=make_dataset()))
    recorder = journal(attempt)
    told = [
        lambda: recorder.checkpoint(checkpoint_info(tmp_path, 10)),
        lambda: recorder.evaluation(evaluation_report(10)),
    ]
    for tell in told if saved_first else told[::-1]:
        tell()
        ingest_attempt(attempt)
    row = Evaluation.objects.get()
    assert row.checkpoint is not None
    assert row.checkpoint.path == str(tmp_path / "10")


def test_progress_and_the_end_of_a_grading_run_count_prompts():
    run = trained()
    made = make_evaluation(run, Wanted(limit=2))
    attempt = start(made)
    recorder = journal(attempt)
    recorder.phase("evaluating", 1)
    ingest_attempt(attempt)
    assert (fresh(made).step, made.phase, made.progress_percent) == (1, "evaluating", 50)
    recorder.end("completed", step=2)
    ingest_attempt(attempt)
    assert fresh(made).step == 2


def test_an_attempt_that_goes_on_takes_the_place_of_what_the_one_before_had_stored():
    run = trained()
    made = make_evaluation(run, Wanted(limit=2))
    first = start(made)
    journal(first).evaluation(evaluation_report(10, final=True, samples=(graded("a"),)))
    ingest_attempt(first)
    finish(first, Status.FAILED)
    assert Evaluation.objects.get().superseded is False
    second = start(fresh(made))
    recorder = journal(second)
    recorder.resumed(2)
    ingest_attempt(second)
    # It is the same result until there is another.
    assert Evaluation.objects.get().superseded is False
    recorder.evaluation(evaluation_report(10, final=True, samples=(graded("a"),)))
    ingest_attempt(second)
    assert list(Evaluation.objects.order_by("attempt").values_list("superseded", flat=True)) == [True, False]
    assert Run.objects.get(pk=made.pk).attempt == 2


def test_a_failed_one_goes_on_by_itself_as_often_as_the_recipe_allows():
    made = make_evaluation(trained(config={"max_restarts": 1}), Wanted(limit=2))
    services.enqueue_run(made, deliver=False)
    for after, status in ((1, Status.QUEUED), (2, Status.FAILED)):
        attempt = claim(fresh(made), outlives_supervisor=True)
        assert attempt is not None
        recorder = journal(attempt)
        recorder.resumed(after)
        recorder.end(Status.FAILED, step=after, reason="no room", failure="OSError: no room")
        end_attempt(attempt, Circumstances(exit_code=1))
        assert fresh(made).status == status
    assert "it was 1 times already" in made.reason
