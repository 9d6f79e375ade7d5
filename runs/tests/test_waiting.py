"""Why a run waits: one case each, the most particular first."""

import datetime as dt

import pytest
from django.utils import timezone

from runs import services
from runs.models import Checkpoint, HostDevice, Run
from runs.queueing import fitting_runs, queue_name, set_priority
from runs.states import Status
from runs.store import store_id
from runs.tests.control_support import HOST, hold, make_device, make_worker, queued
from runs.tests.support import CPU, fresh, run_in
from runs.waiting import waiting_reason, waiting_reasons

pytestmark = pytest.mark.django_db

GPU = type(CPU)(kind="gpu", index=0, uuid="GPU-there-0", name="A100")


@pytest.fixture
def machine():
    """A live worker whose host has one CPU slot."""
    make_worker()
    return make_device()


def changed(run: Run, **facts) -> Run:
    Run.objects.filter(pk=run.pk).update(**facts)
    return fresh(run)


@pytest.mark.parametrize("status", [status for status in Status if status != Status.QUEUED])
def test_what_is_not_queued_waits_for_nothing(status):
    assert waiting_reason(run_in(status)) == ""


def test_a_restart_waits_for_its_time(machine):
    at = timezone.now() + dt.timedelta(minutes=5)
    run = changed(queued(), not_before=at, restarts=1)
    assert waiting_reason(run) == f"restart 1 after a failure, at {at:%H:%M:%S} UTC"
    assert waiting_reason(changed(run, restarts=0)) == f"not before {at:%H:%M:%S} UTC"
    assert "free" in waiting_reason(changed(run, not_before=timezone.now()))


def test_a_run_that_is_handed_out_is_about_to_start(machine):
    run = queued()
    assert services.assign_run(run_id=run.pk, attempt=1, queue=queue_name(HOST, "cpu:0"))
    assert waiting_reason(fresh(run)) == "about to start on cpu:0 of there"
    HostDevice.objects.all().delete()
    assert "silent" in waiting_reason(fresh(run))


def test_a_run_in_the_foreground_is_its_commands(machine):
    assert "the command" in waiting_reason(run_in(Status.QUEUED))


@pytest.mark.parametrize("age", [None, 60])
def test_without_a_live_worker_it_says_how_to_start_one(age):
    if age:
        make_worker(age=age)
    assert waiting_reason(queued()) == "no worker is running; start one with `make worker`"


def test_a_worker_that_is_being_drained_takes_nothing():
    make_worker(drain_requested_at=timezone.now())
    make_device()
    assert waiting_reason(queued()) == "the worker of there is being drained"


def test_files_in_another_folder_wait_for_its_worker(machine):
    run = changed(queued(), store="elsewhere")
    assert "artifacts folder of another host, whose worker is not running" in waiting_reason(run)
    make_worker("far", store="elsewhere", drain_requested_at=timezone.now())
    assert waiting_reason(run) == "the worker of the host that has its files is being drained"
    assert "free" in waiting_reason(changed(run, store=store_id()))


def test_without_a_device_of_its_kind_it_says_so(machine):
    assert waiting_reason(queued(device=GPU)) == "no worker has a GPU"
    HostDevice.objects.all().delete()
    assert waiting_reason(queued()) == "no worker has a CPU slot"


def test_a_device_of_a_silent_host_does_not_count(machine):
    make_device("gone", "gpu")
    assert waiting_reason(queued(device=GPU)) == "no worker has a GPU"


def test_a_pinned_device_that_is_missing_or_in_trouble_is_named(machine):
    make_device(kind="gpu", index=3)
    run = changed(queued(device=GPU), device_pinned=True, host=HOST)
    assert waiting_reason(run) == "gpu:0 of there is not there, and it is to run nowhere else"
    make_device(kind="gpu", name="A100", trouble="fell off the bus")
    assert waiting_reason(run) == "gpu:0 takes no run: fell off the bus"


def test_what_began_on_one_model_of_gpu_waits_for_it(machine):
    make_device(kind="gpu", name="H100")
    run = queued(device=GPU)
    assert "free" in waiting_reason(run)
    # An attempt that came to no checkpoint binds it to nothing.
    assert "free" in waiting_reason(changed(run, attempt=2))
    facts = {"path": "/x/5", "size_bytes": 1, "created_at": timezone.now()}
    Checkpoint.objects.create(run=run, step=5, attempt=1, **facts)
    assert "began on A100 and goes on only on that model" in waiting_reason(run)


def test_trouble_of_every_device_is_named(machine):
    HostDevice.objects.update(usable=False)
    assert waiting_reason(queued()) == "cpu:0 takes no run: JAX cannot use it"


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        (None, "time left unknown"),
        (10.0, "about 15 min left"),
        (0.1, "less than a minute left"),
        (120.0, "about 3 h 00 min left"),
    ],
)
def test_a_busy_device_names_its_run_and_the_time_left(machine, seconds, left):
    holder = hold(machine, step=10, steps=100, seconds=seconds)
    assert waiting_reason(queued()) == f"cpu:0 is busy with run {holder.pk}, {left}"


def test_of_several_busy_devices_the_first_to_be_free_is_named(machine):
    make_worker("second")
    other = make_device("second")
    hold(machine, step=10, seconds=100.0)
    soon = hold(other, step=90, seconds=30.0)
    assert waiting_reason(queued()) == (
        "all 2 fitting devices are busy, the first to be free: "
        f"cpu:0 of second is busy with run {soon.pk}, about 5 min left"
    )


def test_runs_in_front_of_it_are_counted(machine):
    holder = hold(machine, seconds=10.0)
    first, second, third = queued(), queued(), queued()
    queued(device=GPU)
    reasons = waiting_reasons([first, second, third])
    assert reasons[first.pk] == f"cpu:0 is busy with run {holder.pk}, about 15 min left"
    assert reasons[second.pk].endswith("; 1 run goes first")
    assert reasons[third.pk].endswith("; 2 runs go first")
    set_priority(third, 5)
    assert waiting_reason(fresh(third)) == reasons[first.pk]


def test_a_free_device_goes_to_those_in_front_first(machine):
    first, second = queued(), queued()
    assert "cpu:0 is free" in waiting_reason(first)
    assert waiting_reason(second) == "1 run goes first"
    services.assign_run(run_id=first.pk, attempt=1, queue=queue_name(HOST, "cpu:0"))
    assert waiting_reason(second) == f"cpu:0 is about to start run {first.pk}"


def test_many_runs_cost_a_handful_of_queries(machine, django_assert_max_num_queries):
    hold(machine, seconds=1.0)
    runs = [queued() for _ in range(20)]
    with django_assert_max_num_queries(6):
        assert len(waiting_reasons(runs)) == 20
    with django_assert_max_num_queries(0):
        assert waiting_reasons([Run(status=Status.RUNNING)]) == {}


@pytest.mark.parametrize(
    "change", [{}, {"store": "x"}, {"device_kind": "gpu"}, {"device_pinned": True, "device_index": 4}]
)
def test_it_says_free_just_where_the_queue_would_hand_it_out(machine, change):
    run = changed(queued(), **change)
    fits = fitting_runs(machine, store=store_id()).filter(pk=run.pk).exists()
    assert ("is free" in waiting_reason(run)) == fits
