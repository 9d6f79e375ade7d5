"""What the changes of a run leave behind: attempts, leases, reasons, tasks, the audit record."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from runs import services
from runs.devices import Device
from runs.forking import clone_run
from runs.models import Attempt, DeviceLease, Run
from runs.processes import boot_id
from runs.states import Kind, Status
from runs.store import store_id
from runs.tests.support import claim, finish, fresh, make_dataset, make_run, run_in, start
from training.config import TrainConfig
from tunix_site.errors import ConflictError, InvalidInputError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def actions(run: Run) -> list[str]:
    rows = AuditEvent.objects.filter(target_type="run", target_id=str(run.pk)).order_by("id")
    return list(rows.values_list("action", flat=True))


def test_a_new_run_keeps_its_whole_recipe(operator, tmp_path):
    dataset = make_dataset()
    run = make_run(
        dataset=dataset,
        config={"learning_rate": 0.002},
        name="first",
        actor=operator,
        checkpoint_root=tmp_path / "kept",
        origin="manage.py train",
    )
    run = Run.objects.get(pk=run.pk)
    assert TrainConfig.model_validate(run.config).learning_rate == 0.002
    assert set(run.config) == set(TrainConfig.model_fields)
    assert (run.status, run.attempt, run.owner, run.dataset) == (Status.DRAFT, 0, operator, dataset)
    assert run.checkpoint_dir == str(tmp_path / "kept" / str(run.pk))


def test_a_name_that_is_too_long_is_refused_before_anything_is_written():
    with pytest.raises(InvalidInputError, match="300"):
        make_run(name="x" * 301)
    assert not Run.objects.exists()


def test_words_that_no_database_stores_are_shown_with_marks_in_their_place():
    run = make_run(name="a\x00b", origin="manage.py train --name \udcff")
    run = Run.objects.get(pk=run.pk)
    assert "\x00" not in run.name
    assert run.origin.startswith("manage.py train --name ")


def test_a_queued_run_waits_in_its_own_table_until_a_device_is_free():
    run = make_run()
    services.enqueue_run(run)
    assert not OrmQ.objects.exists()
    assert services.assign_run(run_id=run.pk, attempt=1, queue="runs@here/cpu:0")
    [task] = OrmQ.objects.all()
    assert (task.key, task.task["args"]) == ("runs@here/cpu:0", (run.pk, 1))


def test_a_run_that_a_command_supervises_is_handed_to_nobody():
    run = make_run()
    services.enqueue_run(run, deliver=False)
    assert not services.assign_run(run_id=run.pk, attempt=1, queue="runs@here/cpu:0")
    assert not OrmQ.objects.exists()


def test_queueing_clears_what_the_last_attempt_left():
    run = run_in(Status.FAILED)
    Run.objects.filter(pk=run.pk).update(error="a traceback", stop_requested_at=timezone.now())
    run = services.resume_run(fresh(run))
    assert (run.reason, run.error, run.phase) == ("", "", "")
    assert run.stop_requested_at is None
    assert run.finished_at is None
    assert run.attempt == 2


def test_a_second_delivery_leaves_the_run_untouched():
    run = make_run()
    first = start(run)
    before = Run.objects.values().get(pk=run.pk)
    assert claim(run) is None
    assert Run.objects.values().get(pk=run.pk) == before
    assert list(Attempt.objects.all()) == [first]


def test_a_run_that_was_cancelled_while_queued_is_not_claimed():
    run = run_in(Status.QUEUED)
    services.request_stop(run)
    assert fresh(run).reason == "stop requested while queued"
    assert claim(run) is None
    assert not Attempt.objects.exists()


def test_a_run_that_does_not_exist_is_not_claimed():
    assert services.claim_run(run_id=10**6, attempt=1, host="h", pid=1, pid_started=None) is None


def test_a_device_serves_one_run_a_host():
    first, second = make_run(), make_run()
    start(first)
    services.enqueue_run(second, deliver=False)
    with pytest.raises(services.DeviceBusyError, match=f"cpu:0 is busy with run {first.pk}"):
        claim(second)
    assert fresh(second).status == Status.QUEUED
    assert claim(second, host="another-host") is not None


def test_two_cards_of_a_host_serve_two_runs_and_one_card_does_not():
    cards = [Device(kind="gpu", index=index, uuid=f"GPU-{index}") for index in (0, 1)]
    first, second, third = make_run(device=cards[0]), make_run(device=cards[1]), make_run(device=cards[1])
    start(first)
    start(second)
    services.enqueue_run(third, deliver=False)
    with pytest.raises(services.DeviceBusyError, match=f"GPU-1 is busy with run {second.pk}"):
        claim(third)


def test_a_run_is_claimed_on_the_device_that_was_given_it_and_records_that():
    run = run_in(Status.QUEUED)
    attempt = claim(run, device=Device(kind="cpu", index=3, name="another slot"))
    assert attempt is not None
    assert (attempt.device, attempt.boot_id) == ("cpu:3", boot_id())
    assert (fresh(run).device_index, run.device_name, run.store) == (3, "another slot", store_id())
    assert DeviceLease.objects.get().device == "cpu:3"


def test_a_run_that_was_handed_to_another_device_is_not_claimed_by_an_old_delivery():
    run = make_run()
    services.enqueue_run(run)
    assert services.assign_run(run_id=run.pk, attempt=1, queue="runs@here/cpu:0")
    assert services.take_back(run_id=run.pk, attempt=1, queue="runs@here/cpu:0")
    assert services.assign_run(run_id=run.pk, attempt=1, queue="runs@here/cpu:1")
    assert claim(run, queue="runs@here/cpu:0") is None
    assert claim(run, queue="runs@here/cpu:1") is not None


def test_a_late_heartbeat_takes_a_lost_run_back_with_its_device():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    finish(attempt, Status.LOST, reason="silent")
    assert services.revive(attempt) is Status.RUNNING
    assert (fresh(run).status, run.finished_at) == (Status.RUNNING, None)
    assert DeviceLease.objects.get().run_id == run.pk
    attempt.refresh_from_db()
    assert (attempt.finished_at, attempt.cause) == (None, "")
    assert actions(run)[-1] == "run.revived"


def test_a_lost_run_that_was_asked_to_stop_comes_back_stopping():
    run = run_in(Status.STOPPING)
    finish(Attempt.objects.get(), Status.LOST)
    assert services.revive(Attempt.objects.get()) is Status.STOPPING
    assert fresh(run).status == Status.STOPPING


def test_a_lost_run_stays_lost_where_its_device_or_its_attempt_is_taken():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    finish(attempt, Status.LOST)
    other = run_in(Status.RUNNING)
    assert services.revive(attempt) is None
    assert (fresh(run).status, DeviceLease.objects.get().run_id) == (Status.LOST, other.pk)
    finish(Attempt.objects.get(run=other))
    services.resume_run(fresh(run), deliver=False)
    assert services.revive(attempt) is None
    assert fresh(run).status == Status.QUEUED


def test_an_orphan_is_adopted_once():
    run = run_in(Status.RUNNING)
    attempt = Attempt.objects.get()
    facts: dict[str, Any] = {"attempt_id": attempt.pk, "host": attempt.host, "pid": 77, "pid_started": 1.0}
    assert services.adopt_attempt(**facts) is None, "its supervisor lives"
    Attempt.objects.update(supervisor_pid=2**22 - 3, supervisor_started=1.0)
    assert services.adopt_attempt(**{**facts, "host": "elsewhere"}) is None
    adopted = services.adopt_attempt(**facts)
    assert adopted is not None
    assert (adopted.supervisor_pid, adopted.adoptions) == (77, 1)
    finish(adopted)
    assert services.adopt_attempt(**facts) is None
    assert actions(run).count("run.adopted") == 1


def test_marking_a_run_as_stopped_frees_its_device_and_fences_its_process(operator):
    run = run_in(Status.RUNNING)
    services.mark_stopped(run, actor=operator)
    assert (fresh(run).status, DeviceLease.objects.exists()) == (Status.STOPPED, False)
    assert Attempt.objects.get().finished_at is not None
    assert services.heartbeat(run_id=run.pk, attempt=1) is None
    assert services.revive(Attempt.objects.get()) is None


def test_stopping_at_once_also_hurries_a_stop_under_way():
    run = run_in(Status.STOPPING)
    assert not run.stop_now
    services.request_stop(run, now=True)
    assert (fresh(run).status, run.stop_now) == (Status.STOPPING, True)
    assert actions(run)[-1] == "run.stop_now"


def test_an_interrupted_run_of_any_kind_is_requeued_and_a_queued_one_handed_out_anew():
    bench = run_in(Status.FAILED, kind=Kind.BENCH)
    assert (services.requeue_run(bench).status, bench.attempt) == (Status.QUEUED, 2)
    services.assign_run(run_id=bench.pk, attempt=2, queue="runs@here/cpu:0")
    assert (services.requeue_run(fresh(bench)).assigned_to, bench.attempt) == ("", 2)
    with pytest.raises(ConflictError, match="only an interrupted or queued one"):
        services.requeue_run(run_in(Status.COMPLETED))


@pytest.mark.django_db(transaction=True)
def test_of_many_supervisors_at_once_one_gets_the_run():
    run = run_in(Status.QUEUED)
    gate, won, lost = threading.Barrier(4), list[int](), list[str]()

    def race(number: int) -> None:
        gate.wait()
        try:
            if claim(run, pid=number) is not None:
                won.append(number)
        except services.DeviceBusyError as busy:
            lost.append(str(busy))
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert Attempt.objects.get().supervisor_pid == won[0]
    assert DeviceLease.objects.count() == 1


def test_a_run_starts_until_its_child_works_and_then_it_runs():
    run = run_in(Status.STARTING)
    assert services.heartbeat(run_id=run.pk, attempt=1) is Status.STARTING
    Run.objects.filter(pk=run.pk).update(phase="compiling")
    assert services.heartbeat(run_id=run.pk, attempt=1) is Status.RUNNING


def test_a_heartbeat_of_an_older_attempt_finds_nothing():
    run = run_in(Status.RUNNING)
    assert services.heartbeat(run_id=run.pk, attempt=0) is None
    services.request_stop(run)
    assert services.heartbeat(run_id=run.pk, attempt=1) is Status.STOPPING


def test_stopping_twice_changes_nothing_the_second_time():
    run = run_in(Status.RUNNING)
    services.request_stop(run, reason="first")
    asked_at = fresh(run).stop_requested_at
    services.request_stop(run, reason="second")
    assert (fresh(run).reason, run.stop_requested_at) == ("first", asked_at)
    assert actions(run).count("run.stop") == 1


def test_an_older_attempt_cannot_end_the_run_nor_take_its_device():
    run = make_run()
    old = start(run)
    finish(old, Status.LOST)
    services.resume_run(fresh(run), deliver=False)
    new = claim(run)
    assert not services.finish_attempt(attempt=old, status=Status.COMPLETED, reason="late")
    assert fresh(run).status == Status.STARTING
    assert DeviceLease.objects.get().attempt == 2
    assert Attempt.objects.get(pk=old.pk).status == Status.LOST
    assert new is not None
    finish(new)
    assert fresh(run).status == Status.COMPLETED


def test_only_an_end_ends_an_attempt():
    attempt = start(make_run())
    with pytest.raises(ValueError, match="not an end"):
        services.finish_attempt(attempt=attempt, status=Status.RUNNING)


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_what_is_not_interrupted_cannot_be_resumed(status):
    run = run_in(status)
    said = f"is {status}; only a training or an evaluation that is failed, lost, stopped"
    with pytest.raises(ConflictError, match=said):
        services.resume_run(run)


def test_only_trainings_can_be_resumed():
    with pytest.raises(ConflictError, match="benchmark"):
        services.resume_run(run_in(Status.FAILED, kind=Kind.BENCH))


def test_a_named_checkpoint_holds_for_the_next_attempt_alone():
    run = run_in(Status.STOPPED)
    services.resume_run(run, deliver=False, resume_path="/somewhere/5")
    assert (fresh(run).resume_path, run.resume_attempt, run.attempt) == ("/somewhere/5", 2, 2)


def test_a_refused_resume_names_no_checkpoint():
    run = run_in(Status.RUNNING)
    with pytest.raises(ConflictError):
        services.resume_run(run, resume_path="/somewhere/5")
    assert fresh(run).resume_path == ""


def test_a_clone_is_a_draft_with_the_same_recipe(operator):
    run = run_in(Status.COMPLETED, dataset=make_dataset(), name="good", params={"x": 1})
    clone = clone_run(run, actor=operator)
    assert clone.status == Status.DRAFT
    assert (clone.config, clone.dataset, clone.params) == (run.config, run.dataset, run.params)
    assert (clone.parent, clone.parent_step, clone.resume_path) == (run, None, "")
    assert clone.owner == operator
    assert clone.checkpoint_dir != run.checkpoint_dir


def test_every_change_is_written_down_with_who_did_it(operator):
    run = make_run(actor=operator)
    services.enqueue_run(run, deliver=False, actor=operator)
    attempt = claim(run)
    assert attempt is not None
    services.request_stop(run, actor=operator)
    finish(attempt, Status.STOPPED, reason="stopped with a checkpoint")
    services.resume_run(fresh(run), deliver=False)
    services.fail_queued(run_id=run.pk, attempt=2, reason="its device is gone")
    assert actions(run) == [
        "run.created",
        "run.queued",
        "run.starting",
        "run.stop",
        "run.stopped",
        "run.queued",
        "run.failed",
    ]
    by_operator = AuditEvent.objects.filter(actor=operator).values_list("action", flat=True)
    assert set(by_operator) == {"run.created", "run.queued", "run.stop"}


def test_a_change_that_did_not_happen_is_not_written_down():
    run = run_in(Status.COMPLETED)
    before = actions(run)
    for change in (services.enqueue_run, services.request_stop, services.start_draft, services.resume_run):
        with pytest.raises(ConflictError):
            change(run)
    assert not services.fail_queued(run_id=run.pk, attempt=1, reason="no")
    assert actions(run) == before
