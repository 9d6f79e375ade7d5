"""What the tests share that really train: a small dataset, one store of compiled programs, a short recipe."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs.models import Attempt, MetricPoint, Run
from runs.processes import is_alive
from runs.tests.support import PER_STEP, end_session, fresh, start_manage, wait_until

# The database hears of a step up to a second later: so many that a signal finds the training at work.
STEPS = 600
EVERY = 150
RECIPE = (
    "--dataset=golden-v2",
    "--device=cpu",
    "--model=nano",
    f"--steps={STEPS}",
    f"--save-every-steps={EVERY}",
    "--set=batch_size=4",
    "--set=warmup_steps=10",
    "--set=eval_every_steps=0",
    "--set=final_eval_limit=4",
    "--set=max_new_tokens=24",
)
SMOKE = (
    "--dataset=golden-v2",
    "--device=cpu",
    "--model=nano",
    "--smoke-steps=10",
    "--set=final_eval_limit=4",
    "--set=max_new_tokens=24",
)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of compiled programs for all tests: only the first one waits for the compiler.

    The gate gives all its stages the same one in TUNIX_TEST_PROGRAMS.
    """
    shared = os.environ.get("TUNIX_TEST_PROGRAMS")
    return Path(shared) if shared else tmp_path_factory.mktemp("compiled")


@pytest.fixture
def dataset(process_database: str, artifacts_dir: Path, compiled: Path) -> Dataset:
    """A dataset that processes of ours can train on."""
    artifacts_dir.mkdir()
    (artifacts_dir / "cache").symlink_to(compiled)
    made = seed_dataset(key="golden-v2", count=40).dataset
    connection.close()
    return made


@pytest.fixture
def worker(dataset: Dataset) -> Iterator["subprocess.Popen[str]"]:
    """A worker; what it says is not read, so it goes nowhere."""
    process = start_manage("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    end_worker(process)


def end_worker(process: "subprocess.Popen[str]") -> None:
    """Tell a worker to leave, and end what it then leaves at work."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    end_session(process)
    for attempt in Attempt.objects.filter(finished_at=None).exclude(child_pid=None):
        if is_alive(attempt.child_pid, attempt.child_started):
            os.kill(attempt.child_pid or 0, signal.SIGKILL)
    connection.close()


def newest_run(*, after: int = 0) -> Run | None:
    return Run.objects.filter(pk__gt=after).order_by("-id").first()


def wait_for_step(run: Run, step: int) -> Attempt:
    """Wait until a run's points have come to ``step``; give its attempt."""
    wait_until(lambda: fresh(run).step >= step or fresh(run).is_ended, what=f"step {step} of {run}")
    assert not run.is_ended, f"{run} is {run.status} already: {run.reason} {run.error}"
    return Attempt.objects.get(run=run, number=run.attempt)


def assert_whole_history(run: Run, steps: int) -> None:
    """Each step stands exactly once in each per-step series."""
    for name in PER_STEP:
        rows = MetricPoint.objects.filter(run=run, name=name, superseded=False).order_by("step")
        assert list(rows.values_list("step", flat=True)) == list(range(1, steps + 1)), name
