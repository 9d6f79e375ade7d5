"""The head of a run's page: how long it still takes, why it failed, and what to do about it."""

import itertools

import pytest
from django.utils import timezone

from runs import selectors
from runs.models import Attempt, Evaluation, Run
from runs.pages.advice import advice_for
from runs.pages.head import TAIL_LINES, head_of, pace_in_words
from runs.pages.overview import notes_begin
from runs.pages.tests.support import failed_run, running_run
from runs.states import Cause, Status
from runs.tests.support import fresh, make_dataset, make_run, run_in

pytestmark = pytest.mark.django_db


def test_the_time_left_is_that_of_the_pace_of_late():
    run = running_run()
    assert head_of(run).left == "less than a minute left at 100 ms a step"
    Run.objects.update(step_seconds=3.2, total_steps=100_040)
    assert head_of(fresh(run)).left == "about 88 h 53 min left at 3.2 s a step"


def test_before_its_first_steps_nobody_can_tell():
    run = run_in(Status.STARTING)
    assert head_of(run).left == "time left unknown before its first steps"
    assert head_of(run).step_seconds is None


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.STOPPED, Status.COMPLETED])
def test_a_run_that_does_not_train_has_no_time_left(status):
    run = run_in(status)
    Run.objects.update(step_seconds=1.0)
    assert head_of(fresh(run)).left == ""


def test_a_run_that_stops_does_not_promise_its_end():
    assert head_of(run_in(Status.STOPPING)).left == "stopping, so it will not go on to the end"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0000031, "3.1 µs"),
        (0.0009999, "1 ms"),
        (0.031, "31 ms"),
        (0.9999, "1 s"),
        (99.97, "100 s"),
        (0.9994, "999 ms"),
        (1.0, "1 s"),
        (12.34, "12.3 s"),
        (1234.0, "1234 s"),
    ],
)
def test_a_pace_has_a_fitting_unit(seconds, words):
    assert pace_in_words(seconds) == words


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in {Cause.COMPLETED, Cause.STOPPED}])
def test_every_cause_of_a_failure_has_advice(cause):
    found = advice_for(failed_run(cause))
    assert found is not None
    assert found.cause == cause.label
    assert found.text.endswith(".")


def test_a_lost_run_and_one_that_never_started_have_advice_too():
    lost = run_in(Status.LOST)
    found = advice_for(lost)
    assert found is not None
    assert "its host is up" in found.text
    Attempt.objects.all().delete()
    never = advice_for(lost)
    assert never is not None
    assert (never.attempt, never.cause) == (0, "")


def test_the_last_lines_come_first_and_lead_to_the_log(client, operator):
    run = failed_run()
    client.force_login(operator)
    text = client.get(f"/runs/{run.pk}/").content.decode()
    head = text[: text.index("data-run-tabs")]
    for fact in (
        "Failed: the device was out of memory", "12.3 GiB", f"Last {TAIL_LINES} lines of the log",
        "MemoryError: &lt;b&gt;",
        "line 29", "smaller micro_batch", f'href="/runs/{run.pk}/logs/?attempt=1"', 'value="resume"',
    ):  # fmt: skip
        assert fact in head, fact
    assert "line 10" not in head
    assert head.index("Failed:") < head.index("data-progress-text")
    other = client.get(f"/runs/{run.pk}/config/").content.decode()
    assert "Failed: the device was out of memory" in other
    assert "MemoryError" not in other


def test_the_headline_of_one_run_is_that_of_many():
    own, other = make_dataset(20), make_dataset(21)
    for dataset in (own, None):
        run = make_run(dataset=dataset)
        facts = itertools.product((own, other, None), ("test", "train"), (10, 20), (5, 50))
        for number, (data, split, step, n) in enumerate(facts):
            Evaluation.objects.create(
                run=run, made_by=run, attempt=number, step=step, dataset=data, split=split, n=n, correct=1,
                answer_accuracy=0.5, interval_low=0.0, interval_high=1.0, seconds=1.0, generated_tokens=1,
                superseded=number % 5 == 0, created_at=timezone.now(),
            )  # fmt: skip
        while Evaluation.objects.filter(run=run, superseded=False).exists():
            selectors.attach_headlines(runs=[run])
            expected = run.headline
            assert selectors.headline_evaluation(run=run) == expected
            assert expected is not None
            expected.delete()
        assert selectors.headline_evaluation(run=run) is None


def test_the_notes_are_announced_by_their_first_words():
    assert notes_begin("\n\n## **Why** \ntext") == "Why"
    assert notes_begin("") == ""
    assert len(notes_begin("x" * 100_000)) == 120
