"""The worker as a process: it shows that it lives, works off what is queued, and leaves in order."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from django.db import connection
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from runs import services
from runs.models import HostDevice, Worker
from runs.processes import hostname, started_at
from runs.queueing import queue_name
from runs.selectors import live_workers
from runs.states import Status
from runs.tests.fault_support import family
from runs.tests.support import end_session, fresh, make_run, manage, run_in, start_manage, wait_until
from runs.worker import WorkerProcess

pytestmark = pytest.mark.usefixtures("process_database")


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def leave(worker: "subprocess.Popen[str]") -> int:
    worker.send_signal(signal.SIGTERM)
    return worker.wait(60)


def test_a_worker_shows_its_heartbeat_and_ends_clean_when_told(start_worker):
    worker = start_worker()
    row = Worker.objects.get()
    assert (row.host, row.pid) == (hostname(), worker.pid)
    clusters = children_of(worker.pid)
    assert len(clusters) == 2
    assert {one["device"] for one in row.clusters} <= {"cpu:0", ""}
    assert leave(worker) == 0
    assert not Worker.objects.exists()
    assert [started_at(pid) for pid in clusters] == [None, None]


def test_deliveries_that_make_no_sense_are_worked_off_without_harm(start_worker):
    draft, ended = make_run(), run_in(Status.COMPLETED)
    worker = start_worker()
    queue = queue_name(hostname(), "cpu:0")
    for arguments in ((10**6, 1), (draft.pk, 1), (ended.pk, 1), ("nonsense", None)):
        async_task(services.SUPERVISE, *arguments, cluster=queue)
    async_task("no.such.function", cluster=queue)
    wait_until(lambda: not OrmQ.objects.exists(), what="the end of the queue")
    wait_until(lambda: Task.objects.filter(func=services.SUPERVISE).count() == 4, what="the results")
    done = Task.objects.filter(func=services.SUPERVISE, success=True).values_list("result", flat=True)
    assert sorted(done) == sorted(
        f"run {number}, attempt 1: nothing to claim" for number in (10**6, draft.pk, ended.pk)
    )
    assert fresh(draft).status == Status.DRAFT
    assert fresh(ended).status == Status.COMPLETED
    assert worker.poll() is None
    assert leave(worker) == 0


def test_a_worker_takes_up_what_is_queued_and_marks_lost_what_nobody_holds(start_worker):
    lost = run_in(Status.STARTING)
    lost.attempts.update(supervisor_pid=2**22 - 3, supervisor_started=1.0)
    queued = make_run()
    services.enqueue_run(queued)
    start_worker()
    wait_until(lambda: fresh(lost).status == Status.LOST, what="the reaper")
    wait_until(lambda: fresh(queued).is_ended, what="the queued run's end")
    assert fresh(queued).status == Status.FAILED
    assert queued.attempts.get().child_pid


def test_the_clusters_of_a_worker_that_was_killed_do_not_outlive_it_for_long(start_worker):
    worker = start_worker()
    clusters = children_of(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(30)
    wait_until(lambda: not any(started_at(pid) for pid in clusters), what="the clusters' end")


def test_a_cluster_that_died_is_started_again(start_worker):
    worker = start_worker()
    before = children_of(worker.pid)
    os.killpg(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(children_of(worker.pid)) - set(before)) == 1, what="a new cluster")
    assert leave(worker) == 0


def test_a_bare_qcluster_is_a_whole_worker(process_database):
    connection.close()
    process = start_manage("qcluster", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: live_workers().filter(pid=process.pid).exists(), what="the heartbeat")
        assert len(children_of(process.pid)) == 2
        assert leave(process) == 0
    finally:
        end_session(process)


def test_a_host_has_one_worker(start_worker):
    worker = start_worker()
    second = manage("worker")
    assert second.returncode == 1
    assert f"This host has a worker already ({worker.pid})" in second.stderr
    assert worker.poll() is None
    worker.kill()
    worker.wait(30)
    third = start_worker()
    assert leave(third) == 0


def test_each_device_has_a_cluster_and_each_cluster_one_device(start_worker, monkeypatch):
    monkeypatch.setenv("TUNIX_CPU_SLOTS", "3")
    start_worker()
    devices = wait_until(
        lambda: [one["device"] for one in Worker.objects.get().clusters if one["alive"]], what="clusters"
    )
    assert sorted(devices) == ["", "cpu:0", "cpu:1", "cpu:2"]
    assert set(HostDevice.objects.values_list("key", flat=True)) == {"cpu:0", "cpu:1", "cpu:2"}


@pytest.mark.django_db
def test_a_part_of_a_round_that_fails_keeps_no_other_from_being_made():
    made = []

    class Round(WorkerProcess):
        def _tend(self) -> None:
            made.append("tend")

        def _reap(self) -> None:
            raise RuntimeError("a mistake about one run")

        def _hand_out(self) -> None:
            made.append("hand out")

    Round()._tick()
    assert made == ["tend", "hand out"]
    assert Worker.objects.filter(pid=os.getpid()).exists()


def test_what_is_left_of_a_cluster_whose_main_process_was_killed_is_ended(start_worker):
    worker = start_worker()
    main = children_of(worker.pid)[0]
    rest = wait_until(lambda: family(main) - {main}, what="the processes of the cluster")
    os.kill(main, signal.SIGKILL)
    wait_until(lambda: not any(started_at(pid) for pid in rest), what="the end of the rest")
    assert leave(worker) == 0


def test_a_drain_takes_back_what_was_handed_out_and_leaves_after_two_quiet_rounds():
    run = make_run()
    services.enqueue_run(run)
    assert services.assign_run(run_id=run.pk, attempt=1, queue=queue_name(hostname(), "cpu:0"))
    worker = WorkerProcess()
    worker.draining_since = time.monotonic()
    left = []
    for _ in range(3):
        worker._drain()
        left.append(worker.stop.is_set())
    assert left == [False, False, True]
    assert (fresh(run).status, run.assigned_to) == (Status.QUEUED, "")
