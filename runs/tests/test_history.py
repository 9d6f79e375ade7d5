"""History that stays clean: what resumes overtook is kept, and shown only where it is asked for."""

import pytest
from django.utils import timezone

from runs.metrics.rollups import overtake
from runs.models import Attempt, Checkpoint, Run
from runs.tests.support import make_run, start, write_points

pytestmark = pytest.mark.django_db

ROOT = "/api/training/runs"
REASON = "the batch has 4 rows, not 8"


@pytest.fixture
def ask(client, token_headers):
    def send(run: Run, what: str, **query: str):
        answer = client.get(f"{ROOT}/{run.pk}/{what}", query_params=query, headers=token_headers("read"))
        assert answer.status_code == 200, answer.content
        return answer.json()

    return send


@pytest.fixture
def overlapping():
    """Three attempts: 1 reached step 6, 2 went on from 3 to 8, 3 from 5."""
    run = make_run()
    for attempt, first, last in [(1, 1, 6), (2, 4, 8), (3, 6, 10)]:
        overtake(run.pk, step__gte=first)
        write_points(run, {step: float(attempt) for step in range(first, last + 1)}, attempt=attempt)
    return run


def test_the_main_curve_has_one_value_a_step_after_three_overlapping_attempts(ask, overlapping):
    [series] = ask(overlapping, "metrics")["series"]
    assert series["step"] == list(range(1, 11))
    assert series["value"] == [1, 1, 1, 2, 2, 3, 3, 3, 3, 3]
    assert not {"attempt", "superseded"} & set(series)


def test_overtaken_points_come_as_series_of_their_attempts_when_asked_for(ask, overlapping):
    main, *overtaken = ask(overlapping, "metrics", superseded="true")["series"]
    assert main == ask(overlapping, "metrics")["series"][0]
    told = [(one["attempt"], one["superseded"], one["step"], set(one["value"])) for one in overtaken]
    assert told == [(1, True, [4, 5, 6], {1}), (2, True, [6, 7, 8], {2})]


def test_overtaken_points_are_bounded_and_keep_their_extremes(ask):
    run = make_run()
    write_points(run, dict.fromkeys(range(1000), 1.0) | {333: 99.0, 444: None})
    overtake(run.pk)
    [series] = ask(run, "metrics", superseded="true", max_points="10")["series"]
    assert series["shown"] <= 10
    assert (max(series["max"]), series["total_points"], series["non_finite"]) == (99.0, 1000, [444])


def test_what_came_since_is_without_overtaken_points(ask, overlapping):
    cursor = ask(overlapping, "metrics")["cursor"]
    assert ask(overlapping, "metrics", superseded="true", after=cursor)["series"] == []


def test_a_value_that_is_not_finite_stays_null_in_its_place(ask):
    run = make_run()
    write_points(run, {1: None, 2: 1.0})
    [series] = ask(run, "metrics")["series"]
    assert (series["step"], series["value"]) == ([1, 2], [None, 1.0])


def test_overtaken_checkpoints_are_listed_when_asked_for(ask, tmp_path):
    run = make_run()
    for attempt, superseded in [(1, True), (2, False)]:
        Checkpoint.objects.create(
            run=run,
            step=5,
            attempt=attempt,
            path=str(tmp_path),
            size_bytes=1,
            superseded=superseded,
            created_at=timezone.now(),
        )
    assert [row["attempt"] for row in ask(run, "checkpoints")] == [2]
    assert [row["attempt"] for row in ask(run, "checkpoints", superseded="true")] == [2, 1]


def test_a_start_that_is_no_exact_continuation_says_so(ask, client, viewer):
    attempt = start(make_run())
    Attempt.objects.filter(pk=attempt.pk).update(inexact=REASON, child_pid=4242)
    [told] = ask(attempt.run, "attempts")
    assert told["inexact"] == REASON
    client.force_login(viewer)
    page = str(client.get(f"/runs/{attempt.run.pk}/attempts/").content, "utf-8")
    assert page.count(REASON) == 2
    assert "Not an exact continuation" in page
    assert "4242" in page
