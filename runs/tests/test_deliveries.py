"""Tasks around a worker that died: given back, recalled, taken from nobody."""

import datetime as dt
import os

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from runs import services
from runs.deliveries import (
    UNCLAIMED_S,
    recall,
    recall_all,
    recall_assigned,
    recall_stale,
    release_deliveries,
)
from runs.models import Run, Worker
from runs.processes import hostname
from runs.queueing import queue_name
from runs.states import Status
from runs.tests.support import fresh, make_run, run_in
from runs.tests.test_reaper import Clock, clock
from runs.watching import Watch

__all__ = ["clock"]

pytestmark = pytest.mark.django_db

QUEUE = queue_name(hostname(), "cpu:0")


def handed_out(queue: str = QUEUE) -> Run:
    run = make_run()
    services.enqueue_run(run)
    assert services.assign_run(run_id=run.pk, attempt=1, queue=queue)
    return fresh(run)


def later() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=1)


def test_row_and_task_of_an_assignment_come_together_and_once():
    run = handed_out()
    assert (run.assigned_to, OrmQ.objects.get().key) == (QUEUE, QUEUE)
    assert not services.assign_run(run_id=run.pk, attempt=1, queue=QUEUE)
    assert OrmQ.objects.count() == 1


def test_what_a_dead_cluster_had_fetched_waits_again_and_its_task_is_gone():
    run, other = handed_out(), handed_out(queue_name("elsewhere", "cpu:0"))
    OrmQ.objects.update(lock=later())
    assert recall(queue=QUEUE) == 1
    assert (fresh(run).assigned_to, run.status) == ("", Status.QUEUED)
    assert fresh(other).assigned_to
    assert [row.key for row in OrmQ.objects.all()] == [other.assigned_to]


def test_a_worker_that_starts_takes_back_everything_of_its_host_and_nothing_else():
    mine = handed_out(queue_name(hostname(), "GPU-1"))
    other = handed_out(queue_name(hostname() + "2", "cpu:0"))
    OrmQ.objects.create(key="runs", payload="of an earlier version", lock=timezone.now())
    assert recall_all(host=hostname()) == 1
    assert (fresh(mine).assigned_to, fresh(other).assigned_to != "") == ("", True)
    assert [row.key for row in OrmQ.objects.all()] == [other.assigned_to]


def test_a_run_that_was_claimed_is_not_taken_back():
    run = run_in(Status.RUNNING)
    OrmQ.objects.create(key=QUEUE, payload="its task, still locked", lock=later())
    assert recall(queue=QUEUE) == 0
    assert fresh(run).status == Status.RUNNING


def watched(clock: Clock, seconds: float = UNCLAIMED_S + 1) -> None:
    """Look for stale deliveries now and after so many seconds."""
    watch = Watch(clock)
    recall_stale(watch=watch)
    clock.now += seconds
    recall_stale(watch=watch)


@pytest.mark.parametrize("fetched", [False, True], ids=["its task vanished", "its task was fetched"])
@pytest.mark.parametrize("host", [hostname(), "a-host-that-is-gone"])
def test_a_run_that_nobody_begins_waits_again(clock, fetched, host):
    run = handed_out(queue_name(host, "cpu:0"))
    if fetched:
        OrmQ.objects.update(lock=later())
    else:
        OrmQ.objects.all().delete()
    watched(clock, UNCLAIMED_S - 1)
    assert fresh(run).assigned_to
    watched(clock)
    assert (fresh(run).assigned_to, run.status) == ("", Status.QUEUED)
    assert not OrmQ.objects.exists()


def test_a_run_that_is_handed_out_anew_gets_its_time_anew(clock):
    run, watch = handed_out(), Watch(clock)
    recall_stale(watch=watch)
    clock.now += UNCLAIMED_S - 1
    recall(queue=QUEUE)
    assert services.assign_run(run_id=run.pk, attempt=1, queue=QUEUE)
    recall_stale(watch=watch)
    clock.now += 2
    recall_stale(watch=watch)
    assert fresh(run).assigned_to == QUEUE


def test_a_run_whose_command_died_before_it_began_is_stopped(clock):
    run = make_run()
    services.enqueue_run(run, deliver=False)
    watched(clock, UNCLAIMED_S - 1)
    assert fresh(run).status == Status.QUEUED
    watched(clock)
    assert (fresh(run).status, run.reason) == (
        Status.STOPPED,
        "the command that was to supervise it ended before it began",
    )


def test_a_run_that_its_command_restarts_later_is_left_to_it(clock):
    run = make_run()
    services.enqueue_run(run, deliver=False, not_before=later())
    watched(clock)
    assert fresh(run).status == Status.QUEUED


def test_a_drain_takes_back_what_was_handed_out_and_not_begun():
    run, other = handed_out(), handed_out(queue_name("elsewhere", "cpu:0"))
    assert recall_assigned(host=hostname()) == 1
    assert (fresh(run).assigned_to, fresh(other).assigned_to != "") == ("", True)
    assert recall_assigned(host=hostname()) == 0


def test_jobs_that_a_dead_worker_had_fetched_are_delivered_again():
    OrmQ.objects.create(key="housekeeping", payload="a job", lock=later())
    assert release_deliveries(queue="other") == 0
    assert release_deliveries(queue="housekeeping") == 1
    assert OrmQ.objects.get().lock <= timezone.now()


def test_the_jobs_of_a_live_worker_stay_with_it():
    OrmQ.objects.create(key="housekeeping", payload="a job", lock=later())
    for host in (hostname(), "elsewhere"):
        Worker.objects.all().delete()
        Worker.objects.create(host=host, pid=os.getpid(), beat_at=timezone.now())
        assert release_deliveries(queue="housekeeping") == 0


def test_a_fresh_heartbeat_of_a_worker_whose_process_is_dead_counts_for_nothing():
    OrmQ.objects.create(key="housekeeping", payload="a job", lock=later())
    Worker.objects.create(host=hostname(), pid=2**22 - 3, started_ticks=1.0, beat_at=timezone.now())
    assert release_deliveries(queue="housekeeping") == 1
