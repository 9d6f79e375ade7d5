"""The system's own lock of a device: held by the process that trains, freed by its death alone."""

import subprocess
import sys

import pytest

from runs import services
from runs.child_process import FoundChild
from runs.device_lock import DeviceLock, DeviceLockedError
from runs.models import Attempt
from runs.processes import boot_id, started_at
from runs.states import Status
from runs.supervisor import supervise
from runs.tests.support import fresh, run_in, wait_until


def sleeper(**options) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, **options)


def test_a_lock_is_held_once_and_says_by_whom():
    lock = DeviceLock("cpu:0").acquire(holder="run 7")
    with pytest.raises(DeviceLockedError, match="cpu:0 is still used by a process of run 7"):
        DeviceLock("cpu:0").acquire(holder="run 8")
    DeviceLock("cpu:1").acquire(holder="run 8").let_go()
    lock.let_go()
    DeviceLock("cpu:0").acquire(holder="run 8").let_go()


def test_a_child_holds_the_lock_until_it_ends_whatever_becomes_of_its_parent():
    lock = DeviceLock("GPU-1/x").acquire(holder="run 7")
    child = sleeper(pass_fds=[lock.fileno])
    lock.let_go()
    with pytest.raises(DeviceLockedError):
        DeviceLock("GPU-1/x").acquire(holder="run 8")
    child.kill()
    child.communicate()
    DeviceLock("GPU-1/x").acquire(holder="run 8").let_go()


@pytest.mark.django_db
def test_no_run_is_started_beside_a_process_that_the_database_knows_nothing_of():
    run = run_in(Status.QUEUED)
    lock = DeviceLock("cpu:0").acquire(holder="a run of a restored backup")
    with pytest.raises(services.DeviceBusyError, match="restored backup"):
        supervise(run.pk, 1)
    assert fresh(run).status == Status.QUEUED
    assert not Attempt.objects.exists()
    lock.let_go()


def test_a_process_that_was_found_is_waited_for_and_ended():
    process = sleeper()
    found = FoundChild(process.pid, started_at(process.pid), boot_id())
    assert not found.wait(0.05)
    found.stop()
    wait_until(lambda: process.poll() is not None, what="the end of the process")
    assert found.wait(0.05)
    assert found.exit_code is None
    process.communicate()


def test_a_later_process_with_the_pid_is_not_touched():
    process = sleeper()
    for start, boot in (((started_at(process.pid) or 0) - 60, boot_id()), (None, "another-boot")):
        other = FoundChild(process.pid, start, boot)
        assert other.wait(1)
        other.kill()
    assert process.poll() is None
    process.kill()
    process.communicate()
