"""Two hosts on one database: the second one is a worker in a name space with a host name of its own."""

import contextlib
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from runs import services
from runs.models import Attempt, HostDevice
from runs.reaper import SILENT_ELSEWHERE_S
from runs.selectors import live_workers
from runs.states import SUPERVISED, Status
from runs.tests.fault_support import (
    ENDLESS,
    Stopwatch,
    TrainerWatch,
    at_work,
    ended,
    family,
    kill_all,
    queue_training,
    tell,
)
from runs.tests.support import end_session, fresh, wait_until
from tunix_site.errors import ConflictError

pytestmark = [pytest.mark.jax, pytest.mark.long]
pytest.importorskip("jax")

OTHER = "second-host"


@pytest.fixture
def second_host(process_database):
    """A worker that believes to be on another machine."""
    allowed = subprocess.run(["unshare", "--uts", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("name spaces can't be made here")
    connection.close()
    script = f'hostname {OTHER} && exec "{sys.executable}" "{settings.BASE_DIR / "manage.py"}" worker'
    process = subprocess.Popen(
        ["unshare", "--uts", "sh", "-c", script],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: live_workers().filter(host=OTHER).exists(), what="the heartbeat of the other host")
    yield process
    kill_all(family(process.pid))
    end_session(process)


@pytest.mark.usefixtures("dataset")
def test_each_host_takes_a_run_and_the_death_of_one_is_noticed_by_the_other(
    start_worker, second_host, process_database
):
    watch = TrainerWatch(process_database)
    watch.start()
    start_worker()
    runs = [queue_training(steps=ENDLESS), queue_training("--set=max_restarts=1", steps=ENDLESS)]
    attempts = [at_work(run) for run in runs]
    hosts = {attempt.host: run for attempt, run in zip(attempts, runs, strict=True)}
    assert len(hosts) == 2
    assert set(HostDevice.objects.values_list("host", flat=True)) == set(hosts)
    there = hosts[OTHER]
    [left] = [attempt for attempt in attempts if attempt.host == OTHER]
    # The whole machine is gone: nobody there will ever say anything again.
    kill_all(family(second_host.pid) | {left.child_pid or 0})
    dead = Stopwatch()
    wait_until(lambda: fresh(there).status not in SUPERVISED, seconds=60, what="the reaper of the other host")
    tell("a whole host gone", lost_s=dead.seconds)
    assert dead.seconds >= SILENT_ELSEWHERE_S - 5
    assert Attempt.objects.get(pk=left.pk).reason.startswith(f"no heartbeat from {OTHER} for ")
    [here] = [run for host, run in hosts.items() if host != OTHER]
    assert fresh(here).status == Status.RUNNING
    for run in runs:
        with contextlib.suppress(ConflictError):
            services.request_stop(fresh(run))
    connection.close()
    ended(here)
    watch.close()
    assert watch.most_at_once == 2
