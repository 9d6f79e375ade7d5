"""Who uses a card: processes of runs, foreign ones, and when it has no room left for a run."""

import os
import subprocess

import pytest
from django.utils import timezone

from runs.inventory import refresh_inventory
from runs.models import Attempt, DeviceLease, HostDevice
from runs.processes import started_at
from runs.states import Status
from runs.tests.fake_nvml import FOREIGN, GIB, NOT_SUPPORTED, FakeCard
from runs.tests.support import run_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def other_process():
    """A process in a session of its own, as a run's is; it writes the pid of its own child."""
    process = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process
    os.killpg(process.pid, 9)
    process.communicate()


def look() -> HostDevice:
    [row] = [row for row in refresh_inventory() if row.kind == "gpu"]
    return row


def test_a_card_filled_by_others_names_them(driver):
    card = FakeCard(used=int(11.2 * GIB), compute=[(FOREIGN, 11 * GIB), (FOREIGN + 1, None)])
    driver(card)
    assert look().trouble == (
        f"is full: 11.2 of 12.0 GiB used by tool-{FOREIGN} (pid {FOREIGN}), "
        f"tool-{FOREIGN + 1} (pid {FOREIGN + 1})"
    )
    card.compute = [(FOREIGN + number, GIB) for number in range(11)]
    assert look().trouble.endswith(f"tool-{FOREIGN + 2} (pid {FOREIGN + 2}) and 8 more")
    card.compute = []
    assert look().trouble == "is full: 11.2 of 12.0 GiB used by processes that the driver does not name"


@pytest.mark.parametrize(
    ("total", "used", "full"),
    [(12, 10.7, False), (12, 10.9, True), (4, 2.9, False), (4, 3.1, True), (80, 73, True), (80, 71, False)],
)
def test_full_is_less_than_a_tenth_or_a_gib(driver, total, used, full):
    card = FakeCard(total=total * GIB, used=int(used * GIB), compute=[(FOREIGN, int(used * GIB))])
    driver(card)
    assert bool(look().trouble) == full


def test_a_card_whose_memory_cannot_be_read_is_not_called_full(driver):
    card = FakeCard(used=12 * GIB, failing={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})
    driver(card)
    assert look().trouble == ""


def a_run_of(pid: int) -> Attempt:
    """A running run whose process is ``pid``."""
    run = run_in(Status.RUNNING)
    attempt = run.attempts.get()
    Attempt.objects.filter(pk=attempt.pk).update(child_pid=pid, child_started=started_at(pid))
    attempt.refresh_from_db()
    return attempt


def test_what_a_run_and_its_own_children_use_is_the_runs_and_counts_as_room(driver, other_process):
    helper = int(other_process.stdout.readline())
    attempt = a_run_of(other_process.pid)
    card = FakeCard(used=12 * GIB, compute=[(other_process.pid, 8 * GIB), (helper, 3 * GIB), (FOREIGN, GIB)])
    driver(card)
    assert look().trouble == ""
    owners = [process["run_id"] for process in look().processes]
    assert sorted(owners, key=str) == [attempt.run_id, attempt.run_id, None]


def test_a_card_is_full_where_a_runs_memory_would_not_make_room(driver, other_process):
    a_run_of(other_process.pid)
    card = FakeCard(used=12 * GIB, compute=[(other_process.pid, GIB // 2), (FOREIGN, 11 * GIB)])
    driver(card)
    assert look().trouble == f"is full: 12.0 of 12.0 GiB used by tool-{FOREIGN} (pid {FOREIGN})"


def test_an_ended_run_and_a_pid_that_another_process_has_now_own_nothing(driver, other_process):
    attempt = a_run_of(other_process.pid)
    assert attempt.child_started is not None
    driver(FakeCard(compute=[(other_process.pid, GIB)]))
    assert look().processes[0]["run_id"] == attempt.run_id
    for change in ({"child_started": attempt.child_started - 60}, {"finished_at": timezone.now()}):
        Attempt.objects.filter(pk=attempt.pk).update(**change)
        assert [process["run_id"] for process in look().processes] == [None]
        Attempt.objects.filter(pk=attempt.pk).update(child_started=attempt.child_started)


def test_a_leased_card_whose_processes_cannot_be_seen_is_not_called_full(driver):
    run = run_in(Status.RUNNING)
    DeviceLease.objects.filter(run=run).update(device="GPU-a")
    card = FakeCard(used=12 * GIB)
    driver(card)
    assert look().trouble == ""
