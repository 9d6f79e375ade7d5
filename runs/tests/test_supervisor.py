"""The supervisor with children that end early: its run always comes to an end that says why."""

import os
import signal
from pathlib import Path

import pytest
from django.db import connection

from runs import services
from runs.child_environment import child_environment
from runs.devices import Device
from runs.exit_record import EXIT_STALE
from runs.foreground import SupervisorThread
from runs.models import Attempt, DeviceLease, Run
from runs.states import Status
from runs.supervisor import supervise
from runs.tasks import supervise as task
from runs.tests.support import fresh, make_run, run_in, start_manage, wait_until


@pytest.mark.django_db
def test_a_run_whose_process_cannot_be_started_fails_and_frees_its_device(artifacts_dir):
    artifacts_dir.mkdir()
    (artifacts_dir / "runs").write_text("a file where the folder belongs")
    run = run_in(Status.QUEUED)
    assert supervise(run.pk, 1) is Status.FAILED
    assert fresh(run).status == Status.FAILED
    assert run.reason.startswith("its process could not be started: ")
    assert not DeviceLease.objects.exists()


@pytest.mark.django_db
def test_a_second_delivery_finds_nothing_to_claim():
    run = run_in(Status.RUNNING)
    before = Run.objects.values().get(pk=run.pk)
    assert supervise(run.pk, 1) is None
    assert task(run.pk, 1) == f"run {run.pk}, attempt 1: nothing to claim"
    assert Run.objects.values().get(pk=run.pk) == before


@pytest.mark.django_db
def test_a_busy_device_is_not_waited_for_in_the_foreground():
    run_in(Status.RUNNING)
    waiting = run_in(Status.QUEUED)
    with pytest.raises(services.DeviceBusyError):
        supervise(waiting.pk, 1)
    assert fresh(waiting).status == Status.QUEUED


@pytest.mark.usefixtures("process_database")
def test_a_child_that_fails_leaves_its_reason_and_its_last_lines():
    # A training without a dataset is nothing that a service would make.
    run = run_in(Status.QUEUED)
    connection.close()
    assert supervise(run.pk, 1) is Status.FAILED
    run = fresh(run)
    assert run.reason
    assert run.error
    assert len(run.error.splitlines()) <= 20
    assert not DeviceLease.objects.exists()
    attempt = Attempt.objects.get()
    assert attempt.child_pid
    assert attempt.finished_at is not None
    assert (run.attempt_directory(1) / "log.txt").stat().st_size > 0


def has_pending(pid: int, number: signal.Signals) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("ShdPnd:", "SigPnd:")) and int(line.split()[1], 16) & (1 << (number - 1)):
            return True
    return False


@pytest.mark.usefixtures("process_database")
def test_a_stop_that_comes_before_the_work_began_is_a_stop():
    run = run_in(Status.QUEUED)
    supervising = SupervisorThread(run.pk, 1)
    supervising.start()
    pids = Attempt.objects.filter(child_pid__gt=0).values_list("child_pid", flat=True)
    child = wait_until(pids.all().first, what="the child")
    os.kill(child, signal.SIGSTOP)
    services.request_stop(fresh(run))
    wait_until(lambda: has_pending(child, signal.SIGTERM), what="the signal")
    os.kill(child, signal.SIGCONT)
    supervising.join(60)
    assert supervising.claimed is Status.STOPPED
    assert fresh(run).status == Status.STOPPED
    assert run.reason in {"stopped before its work began", "SIGTERM received"}


@pytest.mark.usefixtures("process_database")
def test_a_child_that_nobody_claimed_touches_nothing():
    run = run_in(Status.QUEUED)
    connection.close()
    child = start_manage("execute_run", str(run.pk), "1", "--supervisor_pid", "1")
    out, err = child.communicate(timeout=60)
    assert child.returncode == EXIT_STALE
    assert "not claimed" in out + err
    assert not run.directory.exists()
    assert fresh(run).status == Status.QUEUED


@pytest.mark.django_db
def test_a_child_gets_its_device_alone_and_no_secrets(monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "HOLIDAY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    on_cpu = child_environment(make_run())
    assert (on_cpu["CUDA_VISIBLE_DEVICES"], on_cpu["JAX_PLATFORMS"]) == ("", "cpu")
    assert not {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "HOLIDAY"} & set(on_cpu)
    card = Device(kind="gpu", index=1, uuid="GPU-1234")
    assert child_environment(make_run(device=card))["CUDA_VISIBLE_DEVICES"] == "GPU-1234"
    assert child_environment(make_run(device=Device(kind="gpu", index=3)))["CUDA_VISIBLE_DEVICES"] == "3"
