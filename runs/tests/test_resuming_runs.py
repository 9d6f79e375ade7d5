"""Interrupted trainings, ended in every way, go on and end in the same bits as one that never was."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runs.models import Attempt, Checkpoint, MetricPoint, Run
from runs.processes import is_alive
from runs.states import Status
from runs.tests.support import end_session, fresh, manage, manage_json, start_manage, wait_until
from runs.tests.training_support import (
    EVERY,
    RECIPE,
    STEPS,
    assert_whole_history,
    newest_run,
    wait_for_step,
)

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("dataset")]
pytest.importorskip("jax")

UNINTERRUPTED: dict[str, dict[str, Any]] = {}


def uninterrupted() -> dict[str, Any]:
    """What the recipe gives when nothing happens to it; trained once for all tests."""
    if not UNINTERRUPTED:
        UNINTERRUPTED["said"] = manage_json("train", *RECIPE, "--foreground")
    return UNINTERRUPTED["said"]


def interrupt(act: Callable[[Attempt], None]) -> Run:
    """Train in the foreground, and do something to it between the first and the second checkpoint."""
    known = newest_run()
    training = start_manage("train", *RECIPE, "--foreground", "--json")
    try:
        run = wait_until(lambda: newest_run(after=known.pk if known else 0), what="the run")
        attempt = wait_for_step(run, EVERY + 3)
        # Saving goes on beside the updates: what is not written yet dies with the process.
        first = Checkpoint.objects.filter(run=run, step=EVERY)
        wait_until(first.exists, what="the first checkpoint")
        act(attempt)
        training.communicate(timeout=60)
    finally:
        end_session(training)
    return fresh(run)


def assert_like_uninterrupted(run: Run, said: dict[str, Any]) -> None:
    assert said["run_id"] == run.pk
    assert said["status"] == "completed"
    assert said["params_hash"] == uninterrupted()["params_hash"]
    assert said["final_loss"] == uninterrupted()["final_loss"]
    assert fresh(run).attempt == 2
    assert_whole_history(run, STEPS)
    start = Attempt.objects.get(run=run, number=2).start_step
    overtaken = MetricPoint.objects.filter(run=run, superseded=True).order_by("step").first()
    assert overtaken is None or overtaken.step == start + 1


def test_a_training_stopped_by_sigterm_to_its_child_resumes_exactly():
    run = interrupt(lambda attempt: os.kill(attempt.child_pid or 0, signal.SIGTERM))
    assert (run.status, run.reason) == (Status.STOPPED, "stopped with a checkpoint")
    newest = Checkpoint.objects.filter(run=run).order_by("-step")[0]
    assert newest.step == run.step
    refused = manage("train", "--resume-from=latest", "--set=learning_rate=0.5", "--foreground")
    assert refused.returncode == 1
    assert "learning_rate=0.001 (you gave 0.5)" in refused.stderr
    refused = manage("train", f"--resume-from={run.pk}", "--checkpoint_dir=/elsewhere", "--foreground")
    assert refused.returncode == 1
    assert "Drop --checkpoint-dir" in refused.stderr
    assert fresh(run).status == Status.STOPPED
    said = manage_json("train", "--resume_from=latest", "--foreground")
    assert Attempt.objects.get(run=run, number=2).start_step == newest.step
    assert_like_uninterrupted(run, said)


def test_sigterm_to_the_command_that_supervises_stops_with_a_checkpoint():
    run = interrupt(lambda attempt: os.kill(attempt.supervisor_pid or 0, signal.SIGTERM))
    assert (run.status, run.reason) == (Status.STOPPED, "stopped with a checkpoint")
    assert Checkpoint.objects.filter(run=run, step=run.step).exists()


def test_a_training_whose_child_was_killed_resumes_exactly():
    run = interrupt(lambda attempt: os.kill(attempt.child_pid or 0, signal.SIGKILL))
    assert run.status == Status.FAILED
    assert run.reason == "its process was ended by SIGKILL (out of memory, or by hand)"
    said = manage_json("train", "--resume-from=latest", "--dataset=golden-v2", "--foreground")
    assert Attempt.objects.get(run=run, number=2).start_step >= EVERY
    assert_like_uninterrupted(run, said)


def test_a_training_whose_supervisor_was_killed_is_lost_and_resumes_exactly():
    left: list[Attempt] = []

    def kill_supervisor(attempt: Attempt) -> None:
        left.append(attempt)
        os.kill(attempt.supervisor_pid or 0, signal.SIGKILL)

    run = interrupt(kill_supervisor)
    [attempt] = left
    wait_until(lambda: not is_alive(attempt.child_pid, attempt.child_started), what="the child's end")
    assert run.status == Status.RUNNING
    reaped = manage("reap_runs")
    assert f"Run {run.pk} is lost: its supervisor died" in reaped.stdout
    assert fresh(run).status == Status.LOST
    said = manage_json("train", "--resume-from", str(run.pk), "--foreground")
    assert Attempt.objects.get(run=run, number=2).start_step > EVERY
    assert_like_uninterrupted(run, said)


def test_a_training_interrupted_before_its_first_checkpoint_starts_again():
    training = start_manage("train", *RECIPE, "--save-every-steps=0", "--foreground")
    try:
        run = wait_until(newest_run, what="the run")
        attempt = wait_for_step(run, 3)
        os.kill(attempt.child_pid or 0, signal.SIGKILL)
        training.communicate(timeout=60)
    finally:
        end_session(training)
    assert fresh(run).status == Status.FAILED
    assert not Checkpoint.objects.filter(run=run).exists()
    assert manage_json("train", "--resume-from=latest", "--foreground")["status"] == "completed"
    assert Attempt.objects.get(run=run, number=2).start_step == 0
    assert_whole_history(run, STEPS)


def test_a_named_checkpoint_goes_on_as_its_run_or_begins_a_new_one():
    every = 15
    first = manage_json("train", *RECIPE, "--steps=60", f"--save-every-steps={every}", "--foreground")
    folder = f"{first['checkpoint_dir']}/{every * 3}"
    said = manage_json("train", f"--resume-from={folder}", "--foreground")
    branch = Run.objects.get(pk=said["run_id"])
    assert branch.pk != first["run_id"]
    assert (branch.parent_id, branch.parent_step) == (first["run_id"], every * 3)
    assert said["params_hash"] == first["params_hash"]
    assert Attempt.objects.get(run=branch).start_step == every * 3

    misfit = manage("train", f"--resume-from={folder}", "--model=tiny", "--foreground")
    assert misfit.returncode == 1
    assert "does not fit" in misfit.stderr or "model" in misfit.stderr
    assert "Traceback" not in misfit.stderr

    # The branch, taken for an interrupted run, goes on as itself from the checkpoint that is named.
    Run.objects.filter(pk=branch.pk).update(status=Status.STOPPED)
    own = f"{said['checkpoint_dir']}/{every * 4}"
    assert Path(own).is_dir()
    again = manage_json("train", f"--resume-from={own}", "--foreground")
    assert again["run_id"] == branch.pk
    assert again["attempt"] == 2
    assert again["params_hash"] == first["params_hash"]
