"""Evaluations in processes of their own: ended by SIGKILL, stopped, taken up, repeated."""

import os
import signal

import pytest

from runs.models import Attempt, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.support import end_session, fresh, manage, manage_json, start_manage, wait_until
from runs.tests.training_support import SMOKE

pytestmark = [pytest.mark.jax, pytest.mark.usefixtures("dataset")]
pytest.importorskip("jax")

# Noise that never ends: each batch of four writes so many tokens.
LONG = ("--split=train", "--limit=28", "--max-new-tokens=1200", "--foreground")


def test_one_killed_then_stopped_goes_on_and_ends_in_the_hash_of_one_that_was_neither():
    number = str(manage_json("train", *SMOKE, "--foreground", "--set=eval_batch_size=4")["run_id"])
    process = start_manage("evaluate", number, *LONG)
    try:
        run = wait_until(lambda: Run.objects.filter(kind=Kind.EVALUATE).first(), what="the run")
        kept = run.directory / "generated.jsonl"
        wait_until(lambda: kept.exists() and kept.read_bytes().count(b"\n") >= 2, what="two batches")
        attempt = Attempt.objects.get(run=run, number=1)
        os.kill(attempt.child_pid or 0, signal.SIGKILL)
        assert process.wait(60) == 1
    finally:
        end_session(process)
    assert fresh(run).status == Status.FAILED
    # A batch is kept before it is told.
    assert 4 <= run.step < 28
    assert run.total_steps == 28
    assert not Evaluation.objects.filter(made_by=run).exists()
    before = kept.read_bytes()
    assert before.count(b"\n") < 7

    process = start_manage("evaluate", str(run.pk), "--resume", "--foreground")
    try:
        wait_until(lambda: kept.read_bytes().count(b"\n") > before.count(b"\n"), what="one more")
        os.kill(Attempt.objects.get(run=run, number=2).child_pid or 0, signal.SIGTERM)
        assert process.wait(60) == 1
    finally:
        end_session(process)
    assert (fresh(run).status, run.attempt) == (Status.STOPPED, 2)
    assert "kept for a resume" in run.reason
    assert 12 <= run.step < 28
    before = kept.read_bytes()

    resumed = manage_json("evaluate", str(run.pk), "--resume", "--foreground")
    assert (resumed["evaluation_run_id"], resumed["n"]) == (run.pk, 28)
    assert kept.read_bytes().startswith(before)
    last = Attempt.objects.get(run=run, number=3)
    assert last.start_step >= 12
    assert (fresh(run).status, run.step, run.total_steps) == (Status.COMPLETED, 28, 28)
    whole = manage_json("evaluate", number, *LONG)
    assert whole["results_hash"] == resumed["results_hash"]
    assert whole["repeat"] == {"evaluation": resumed["evaluation_id"], "identical": True, "differs": []}
    assert (whole["grader"], whole["limit"], whole["generated_tokens"]) == ("auto", 28, 28 * 1200)

    # Drawn with a seed, and again with the settings of the newest.
    some = manage_json(
        "evaluate", number, "--limit=3", "--samples=4", "--temperature=1.2", "--seed=3", "--max_new_tokens=16"
    )
    assert (some["draws"], sorted(some["pass_at"])) == (4, ["1", "2", "4"])
    said = manage("evaluate", number, "--again")
    assert said.returncode == 0, said.stderr
    assert f"This is identical to evaluation {some['evaluation_id']}." in said.stdout
    assert "With 4 texts a prompt: pass@1" in said.stdout
    assert Evaluation.objects.latest("pk").samples.count() == 12
