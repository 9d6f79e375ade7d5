"""The REST routes of evaluations: who may ask, what is refused, what is told."""

import json

import pytest

from runs.evaluations.tests.support import drawn, evaluated, trained
from runs.models import Evaluation, Run
from runs.states import Kind, Status
from runs.tests.samples_support import graded
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db
ROOT = "/api/training"


@pytest.fixture
def call(client, token_headers):
    headers = {scope: token_headers(scope) for scope in ("read", "operate")}

    def send(method, path, code, *, scope="read", body=None):
        answer = client.generic(
            method,
            f"{ROOT}/{path}",
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers=headers.get(scope, {}),
        )
        assert answer.status_code == code, answer.content
        return answer.json()

    return send


@pytest.fixture
def run():
    return trained()


def test_an_operator_asks_and_gets_the_queued_run(call, run):
    body = {
        "checkpoint": "10",
        "split": "train",
        "limit": 3,
        "grader": "numeric",
        "decoding": {"temperature": 0.5, "samples": 4, "seed": 2},
    }
    answer = call("POST", f"runs/{run.pk}/evaluate", 201, scope="operate", body=body)
    assert (answer["kind"], answer["status"], answer["parent_id"]) == ("evaluate", "queued", run.pk)
    assert (answer["total_steps"], answer["step"]) == (3, 0)
    assert answer["params"]["decoding"] == {"temperature": 0.5, "samples": 4, "seed": 2}
    made = Run.objects.get(pk=answer["id"])
    assert made.origin == f"POST /api/training/runs/{run.pk}/evaluate"
    line = AuditEvent.objects.get(action="run.evaluation_asked")
    assert (line.target_id, line.detail["made"]) == (str(run.pk), made.pk)
    assert call("POST", f"runs/{run.pk}/evaluate", 201, scope="operate")["params"]["limit"] == 1000


def test_what_was_not_recorded_is_null(call, run):
    row = evaluated(run, [graded("a")], right_with_invalid_step=1)
    assert call("GET", f"evaluations/{row.pk}", 200)["right_with_invalid_step"] == 1
    # As the migration left rows from before.
    Evaluation.objects.update(grader="", grader_version=0, right_with_invalid_step=0, format_rate=None)
    told = call("GET", f"evaluations/{row.pk}", 200)
    assert (told["right_with_invalid_step"], told["format_rate"]) == (None, None)


def test_others_may_not_ask_but_look(call, run):
    call("POST", f"runs/{run.pk}/evaluate", 403, body={})
    call("POST", f"runs/{run.pk}/evaluate", 401, scope="", body={})
    row = evaluated(run, [graded("a")])
    call("GET", f"evaluations/{row.pk}", 200)
    call("GET", f"evaluations/{row.pk}", 401, scope="")
    assert Run.objects.filter(kind=Kind.EVALUATE, status=Status.QUEUED).count() == 0


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"grader": "guess"}, 422, "no grader 'guess'; there are auto"),
        ({"decoding": {"samples": 4}}, 422, "samples=4 changes nothing at temperature=0"),
        ({"limit": 0}, 422, ""),
        ({"split": "dev"}, 422, ""),
        ({"checkpoint": "99"}, 404, "no checkpoint of step 99 on disk"),
        ({"checkpoint": "worst"}, 404, "points at no checkpoint"),
        ({"dataset": "nope-v1"}, 404, "no dataset 'nope-v1'"),
        ({"temperature": 1}, 422, ""),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, run, body, code, said):
    assert said in call("POST", f"runs/{run.pk}/evaluate", code, scope="operate", body=body)["detail"]


def test_one_evaluation_is_told_in_full(call, run):
    evaluated(
        run, samples := [graded("a", checks={"format": True}), graded("b", "1", checks={"format": False})]
    )
    row = evaluated(run, samples)
    answer = call("GET", f"evaluations/{row.pk}", 200)
    assert (answer["run_id"], answer["made_by"], answer["step"]) == (run.pk, row.made_by_id, 10)
    assert answer["content_hash"] == run.dataset.content_hash
    assert answer["checkpoint"] == run.checkpoints.get().path
    assert (answer["grader"], answer["draws"], answer["tokens_per_second"]) == ("auto", 1, 300)
    assert answer["checks"]["format"] == {"passed": 1, "failed": 1, "nothing": 0}
    assert answer["repeat"] == {"evaluation": row.pk - 1, "identical": True, "differs": []}
    assert answer["url"] == f"/evaluations/{row.pk}/"
    assert call("GET", "evaluations/4711", 404)["detail"] == "There is no evaluation 4711."
    listed = call("GET", f"runs/{run.pk}/evaluations", 200)
    assert [one["results_hash"] for one in listed] == [row.results_hash] * 2


def test_its_texts_come_with_their_draws_by_verdict(call, run):
    samples = drawn("a", ["0", "1"], True) + drawn("b", ["1", "1"], False)
    samples.append(graded("c", steps_valid=(True, False), first_wrong_step=1, checks={"format": False}))
    row = evaluated(run, samples)
    path = f"evaluations/{row.pk}/samples"
    every = call("GET", path, 200)
    assert [(one["position"], one["draw"]) for one in every["items"]] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0),
    ]  # fmt: skip
    assert every["items"][4]["first_wrong_step"] == 1
    counts = {
        name: call("GET", f"{path}?filter={name}", 200)["count"]
        for name in ("right", "wrong", "right_invalid_step", "bad_format", "unfinished")
    }
    assert counts == {"right": 2, "wrong": 3, "right_invalid_step": 1, "bad_format": 1, "unfinished": 0}
    assert call("GET", f"{path}?draw=1&limit=1", 200)["count"] == 2
    call("GET", f"{path}?filter=odd", 422)
    call("GET", f"{path}?offset=100000000000", 422)
