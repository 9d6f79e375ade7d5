"""Real trainings, in the foreground and through the queue."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from runs.models import Attempt, Checkpoint, DeviceLease, Evaluation, MetricPoint, Run
from runs.selectors import live_workers
from runs.states import Status
from runs.tests.support import PER_STEP, end_session, fresh, manage_json, start_manage, wait_until
from runs.tests.training_support import (
    SMOKE,
    assert_whole_history,
    newest_run,
)
from training import checkpoints

pytestmark = pytest.mark.jax
pytest.importorskip("jax")


LONG = [flag for flag in SMOKE if not flag.startswith("--smoke")] + ["--set=batch_size=4"]


def loaded_libraries(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def family_of(pid: int) -> set[int]:
    """A process and all that came from it, by the parents that the system knows."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    family = {pid}
    while found := {child for child, parent in parents.items() if parent in family} - family:
        family |= found
    return family


def assert_complete_smoke_run(run: Run) -> None:
    assert run.dataset is not None
    assert (run.status, run.step, run.attempt) == (Status.COMPLETED, 10, 1)
    assert MetricPoint.objects.filter(run=run, name__in=PER_STEP).count() == 5 * 10
    assert_whole_history(run, 10)
    checkpoint = Checkpoint.objects.get(run=run)
    assert checkpoint.step == 10
    stored = checkpoints.verify(Path(checkpoint.path))
    assert stored["dataset_key"] == "golden-v2"
    assert stored["content_hash"] == run.dataset.content_hash
    evaluation = Evaluation.objects.get(run=run)
    assert evaluation.final
    assert evaluation.samples.count() == evaluation.n == 4
    assert not DeviceLease.objects.exists()


@pytest.mark.usefixtures("dataset")
def test_a_smoke_run_in_the_foreground_leaves_one_complete_run():
    said = manage_json("train", *SMOKE, "--foreground")
    run = Run.objects.get()
    assert_complete_smoke_run(run)
    assert run.dataset is not None
    assert said["run_id"] == run.pk
    assert said["status"] == "completed"
    assert said["step"] == 10
    assert said["content_hash"] == run.dataset.content_hash
    assert said["final_loss"] == run.final_loss
    assert said["params_hash"] == run.params_hash
    assert len(run.params_hash) == 64
    assert said["url"].endswith(f"/runs/{run.pk}/")
    text = str(run.provenance)
    for fact in ("jax", "flax", "optax", "orbax", "python", "hostname", "git", "seed", "XLA_FLAGS"):
        assert fact.lower() in text.lower(), fact
    assert run.dataset.content_hash in text


def test_the_queue_gives_the_same_run_and_no_process_beside_the_child_loads_jax(worker):
    wait_until(lambda: live_workers().exists(), what="the worker's heartbeat")
    watched = start_manage("train", *SMOKE, "--json")
    child = 0

    def seen() -> bool:
        nonlocal child
        attempt = Attempt.objects.first()
        child = (attempt and attempt.child_pid) or 0
        try:
            return bool(child) and "jaxlib" in loaded_libraries(child)
        except FileNotFoundError:
            return False

    try:
        wait_until(seen, what="a child with JAX")
        others = (family_of(worker.pid) | family_of(watched.pid)) - family_of(child)
        assert len(others) >= 6
        for pid in others:
            try:
                assert "jaxlib" not in loaded_libraries(pid), pid
            except FileNotFoundError:
                continue
        out, err = watched.communicate(timeout=90)
    finally:
        end_session(watched)
    assert watched.returncode == 0, err
    queued = Run.objects.get()
    assert_complete_smoke_run(queued)
    assert queued.params_hash in out
    alone = manage_json("train", *SMOKE, "--foreground")
    assert alone["params_hash"] == queued.params_hash
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert not live_workers().exists()


def test_a_worker_that_is_interrupted_stops_its_run_with_a_checkpoint(worker):
    wait_until(lambda: live_workers().exists(), what="the worker's heartbeat")
    said = manage_json("train", *LONG, "--steps=100000", "--detach")
    run = Run.objects.get(pk=said["run_id"])
    wait_until(lambda: fresh(run).step >= 5 or fresh(run).is_ended, what="step 5")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(90) == 0
    assert (fresh(run).status, run.reason) == (Status.STOPPED, "stopped with a checkpoint")
    # A fast machine passes a periodic checkpoint before the signal arrives.
    newest = Checkpoint.objects.filter(run=run, superseded=False).order_by("step").last()
    assert newest is not None
    assert newest.step == run.step


@pytest.mark.skipif(connection.vendor != "sqlite", reason="holds SQLite's own lock")
@pytest.mark.usefixtures("dataset")
def test_training_goes_on_while_another_process_holds_the_database(process_database):
    path = process_database.removeprefix("sqlite:///")
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); input(); c.execute('ROLLBACK')"
    )
    training = start_manage("train", *LONG, "--steps=600", "--foreground", "--json")
    try:
        run = wait_until(newest_run)
        wait_until(lambda: fresh(run).step >= 5 or fresh(run).is_ended, what="step 5")
        holder = subprocess.Popen(
            [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        journal = run.attempt_directory(1) / "metrics.jsonl"
        size, stored, began = journal.stat().st_size, fresh(run).step, time.monotonic()
        wait_until(lambda: journal.stat().st_size > size + 2000, what="steps during the lock")
        time.sleep(max(0.0, 4 - (time.monotonic() - began)))
        assert fresh(run).step == stored
        holder.communicate("\n")
        _, err = training.communicate(timeout=90)
    finally:
        end_session(training)
    assert training.returncode == 0, err
    assert fresh(run).status == Status.COMPLETED
    assert_whole_history(run, 600)


@pytest.mark.usefixtures("dataset")
def test_the_web_server_answers_without_jax(tmp_path):
    address = f"unix:{tmp_path / 'site.sock'}"
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--workers=1", f"--bind={address}", "tunix_site.wsgi:application"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"GUNICORN_CMD_ARGS": ""},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((tmp_path / "site.sock").exists, what="the server")
        asked = (
            "import http.client, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "c = http.client.HTTPConnection('localhost'); c.sock = s; c.request('GET', sys.argv[2]);"
            "print(c.getresponse().status)"
        )
        for page in ("/api/health", "/runs/", "/accounts/login/", "/api/devices"):
            done = subprocess.run(
                [sys.executable, "-c", asked, str(tmp_path / "site.sock"), page],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            assert int(done.stdout) in {200, 302, 401}, page
        family = family_of(server.pid)
        assert len(family) >= 2
        assert all("jaxlib" not in loaded_libraries(pid) for pid in family)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
