"""The routes of run control: queue, workers, order, pins, deletion, health."""

import datetime as dt
import json
from pathlib import Path

import pytest
from django.utils import timezone

from runs.models import Run
from runs.states import Status
from runs.tests.control_support import checkpoint_row, hold, make_device, make_worker, queued
from runs.tests.support import fresh, make_dataset, run_in

pytestmark = pytest.mark.django_db

ROOT = "/api/training/runs"


@pytest.fixture
def call(client, token_headers):
    headers = token_headers("admin")

    def send(method, path, code, /, body=None):
        sent = json.dumps(body) if body is not None else ""
        answer = client.generic(method, path, sent, content_type="application/json", headers=headers)
        assert answer.status_code == code, answer.content
        return answer.json()

    return send


def order(call):
    return [row["run"]["id"] for row in call("GET", "/api/training/queue", 200)["waiting"]]


def test_the_queue_in_order_with_reasons_and_leases(call):
    make_worker()
    holder = hold(make_device(), seconds=10.0)
    first, second = queued(), queued()
    said = call("GET", "/api/training/queue", 200)
    assert [(row["place"], row["run"]["id"]) for row in said["waiting"]] == [(1, first.pk), (2, second.pk)]
    assert said["waiting"][0]["run"]["waiting"] == f"cpu:0 is busy with run {holder.pk}, about 15 min left"
    assert said["count"] == 2
    lease = said["leases"][0]
    assert (lease["run_id"], lease["device"], lease["host"], lease["step"]) == (
        holder.pk,
        "cpu:0",
        "there",
        10,
    )


def test_the_queue_is_reordered(call):
    first, second = queued(), queued()
    call("POST", f"{ROOT}/{second.pk}/move", 200, {"where": "first"})
    assert [row["run"]["id"] for row in call("GET", "/api/training/queue", 200)["waiting"]] == [
        second.pk,
        first.pk,
    ]
    assert call("POST", f"{ROOT}/{first.pk}/priority", 200, {"priority": 4})["priority"] == 4
    assert [row["run"]["id"] for row in call("GET", "/api/training/queue", 200)["waiting"]] == [
        first.pk,
        second.pk,
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("move", {"where": "away"}),
        ("move", {}),
        ("move", {"where": "first", "x": 1}),
        ("priority", {"priority": 1001}),
        ("priority", {"priority": "high"}),
    ],
)
def test_values_out_of_bounds_are_422(call, path, body):
    call("POST", f"{ROOT}/{queued().pk}/{path}", 422, body)


@pytest.mark.parametrize(("path", "body"), [("move", {"where": "up"}), ("priority", {"priority": 1})])
def test_only_what_waits_has_a_place(call, path, body):
    call("POST", f"{ROOT}/{run_in(Status.RUNNING).pk}/{path}", 409, body)


def test_a_run_says_why_it_waits_and_what_was_asked_of_it(call):
    run = queued(priority=3)
    at = timezone.now() + dt.timedelta(hours=1)
    Run.objects.filter(pk=run.pk).update(not_before=at, restarts=2)
    said = call("GET", f"{ROOT}/{run.pk}", 200)
    assert (said["priority"], said["restarts"], said["stop_now"]) == (3, 2, False)
    assert said["waiting"].startswith("restart 2 after a failure, at ")
    assert call("GET", ROOT, 200)["items"][0]["waiting"] == said["waiting"]
    assert call("POST", f"{ROOT}/{run.pk}/requeue", 200)["not_before"] is None
    assert call("GET", f"{ROOT}/{run.pk}", 200)["waiting"].startswith("no worker is running")


def test_stopping_now_marking_and_requeuing(call):
    run = run_in(Status.RUNNING)
    said = call("POST", f"{ROOT}/{run.pk}/stop_now", 200)
    assert (said["status"], said["stop_now"]) == ("stopping", True)
    assert call("POST", f"{ROOT}/{run.pk}/mark_stopped", 200)["status"] == "stopped"
    call("POST", f"{ROOT}/{run.pk}/mark_stopped", 409)
    assert call("POST", f"{ROOT}/{run.pk}/requeue", 200)["status"] == "queued"


def test_pins_and_deletion(call):
    run = run_in(Status.COMPLETED)
    checkpoint_row(run, Path(run.checkpoint_dir), 5)
    assert call("POST", f"{ROOT}/{run.pk}/checkpoints/5/pin", 200)["pinned"]
    assert "pinned" in call("DELETE", f"{ROOT}/{run.pk}", 409)["detail"]
    assert not call("POST", f"{ROOT}/{run.pk}/checkpoints/5/unpin", 200)["pinned"]
    call("POST", f"{ROOT}/{run.pk}/checkpoints/6/pin", 404)
    assert call("DELETE", f"{ROOT}/{run.pk}", 200)["freed_bytes"] > 0
    call("DELETE", f"{ROOT}/{run.pk}", 404)


def test_an_operator_may_not_delete(client, token_headers):
    run = run_in(Status.COMPLETED)
    answer = client.delete(f"{ROOT}/{run.pk}", headers=token_headers("operate"))
    assert (answer.status_code, "admin" in answer.json()["detail"]) == (403, True)
    assert fresh(run)


@pytest.mark.jax
def test_a_training_is_queued_with_its_priority(call):
    body = {"dataset": make_dataset().key, "device": "cpu", "priority": 9}
    assert call("POST", ROOT, 201, body)["priority"] == 9
    call("POST", ROOT, 422, {**body, "priority": 10**9})


def test_workers_with_their_devices_and_what_uses_them(call):
    make_worker("silent", age=500)
    make_worker(clusters=[{"name": "runs@there/cpu:0", "pid": 7, "device": "cpu:0", "starts": 1}])
    ours = {"pid": 1, "name": "python", "memory_bytes": 5, "run_id": 1}
    holder = hold(make_device(kind="gpu", utilisation=0.5, processes=[ours, {**ours, "run_id": None}]))
    alive, silent = call("GET", "/api/workers", 200)
    assert (alive["alive"], alive["host"], silent["alive"], silent["host"]) == (
        True,
        "there",
        False,
        "silent",
    )
    device = alive["devices"][0]
    assert (device["run_id"], device["foreign_processes"], device["utilisation"]) == (holder.pk, 1, 0.5)
    assert alive["clusters"][0]["pid"] == 7
    assert silent["devices"] == []


def test_health_counts_workers_and_names_no_host(client):
    make_worker("secret-host")
    make_worker("secret-host", age=60)
    answer = client.get("/api/health")
    assert answer.json()["workers"] == {"alive": 1, "silent": 1}
    assert answer.json()["status"] == "ok"
    assert b"secret" not in answer.content
