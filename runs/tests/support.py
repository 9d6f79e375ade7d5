"""Runs in every state, journals as a child writes them, and processes of ours: what tests share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs import services
from runs.creating import create_run
from runs.devices import Device, jax_installed
from runs.ingest import ingest_attempt
from runs.journal import JOURNAL_NAME, JournalRecorder
from runs.metrics.rollups import refresh, touched_by
from runs.models import Attempt, DeviceLease, MetricPoint, Run
from runs.processes import hostname, started_at
from runs.states import Kind, Status
from training.config import make_config
from training.recorder import CheckpointInfo, EvaluationReport, GradedSample

CPU = Device(kind="cpu", name="a test's processor")


def with_jax(test: Any) -> Any:
    """A test that needs JAX, in a module whose others do not."""
    return pytest.mark.jax(pytest.mark.skipif(not jax_installed(), reason="could not import 'jax'")(test))


PER_STEP = [
    "train/grad_norm",
    "train/learning_rate",
    "train/loss",
    "train/step_time",
    "train/tokens_per_second",
]


def make_dataset(count: int = 20) -> Dataset:
    return seed_dataset(key="golden-v2", count=count).dataset


def make_run(**changes: Any) -> Run:
    """A draft training of 10 steps on the CPU, without a dataset unless one is given."""
    config = make_config({"model": "nano", "steps": 10, **changes.pop("config", {})})
    facts = {"kind": Kind.TRAIN, "device": CPU, "dataset": None, "total_steps": config.steps, **changes}
    return create_run(config=config, **facts)


def claim(run: Run, **changes: Any) -> Attempt | None:
    facts = {
        "run_id": run.pk,
        "attempt": run.attempt,
        "host": hostname(),
        "pid": os.getpid(),
        "pid_started": started_at(os.getpid()),
        **changes,
    }
    return services.claim_run(**facts)


def start(run: Run) -> Attempt:
    """Queue and claim a run, as a supervisor does that leaves its child unstarted."""
    services.enqueue_run(run, deliver=False)
    attempt = claim(run)
    assert attempt is not None
    run.refresh_from_db()
    return attempt


def run_in(status: Status, **changes: Any) -> Run:
    """A run that came to ``status`` by the services alone."""
    run = make_run(**changes)
    if status != Status.DRAFT:
        services.enqueue_run(run, deliver=False)
    if status in {Status.DRAFT, Status.QUEUED}:
        return run
    attempt = claim(run)
    assert attempt is not None
    if status in {Status.RUNNING, Status.STOPPING}:
        journal(attempt).phase("training", 1)
        ingest_attempt(attempt)
        services.heartbeat(run_id=run.pk, attempt=run.attempt)
    if status == Status.STOPPING:
        services.request_stop(run)
    if status in {Status.STOPPED, Status.COMPLETED, Status.FAILED, Status.LOST}:
        services.finish_attempt(attempt=attempt, status=status, reason="as the test wants it")
    run.refresh_from_db()
    assert run.status == status
    return run


def finish(attempt: Attempt, status: Status = Status.COMPLETED, **facts: Any) -> None:
    assert services.finish_attempt(attempt=attempt, status=status, **facts)
    attempt.run.refresh_from_db()


def release_device() -> None:
    """Let the next run of a test have the device of one that stays as it is."""
    DeviceLease.objects.all().delete()


def journal_path(attempt: Attempt) -> Path:
    return attempt.run.attempt_directory(attempt.number) / JOURNAL_NAME


def journal(attempt: Attempt) -> JournalRecorder:
    """The recorder that the attempt's child would write with."""
    return JournalRecorder(journal_path(attempt), stop_asked=lambda: False)


def checkpoint_info(root: Path, step: int) -> CheckpointInfo:
    folder = root / str(step)
    folder.mkdir(parents=True, exist_ok=True)
    return CheckpointInfo(step=step, path=str(folder), size_bytes=2048, metadata={"step": step, "loss": 0.5})


def sample(**changes: Any) -> GradedSample:
    facts: dict[str, Any] = {
        "trace_id": "ab" * 32,
        "prompt": "7+3",
        "expected_steps": ("7+3=0",),
        "expected_answer": "0",
        "generated_text": "7+3=0\n#0",
        "generated_steps": ("7+3=0",),
        "steps_valid": (True,),
        "answer": "0",
        "correct": True,
        "rule": "exact",
        **changes,
    }
    return GradedSample(**facts)


def evaluation_report(step: int, **changes: Any) -> EvaluationReport:
    facts: dict[str, Any] = {
        "split": "test",
        "n": 12,
        "correct": 9,
        "loss": 0.25,
        "answer_accuracy": 0.75,
        "interval": (0.468, 0.911),
        "step_accuracy": 0.8,
        "seconds": 1.5,
        "generated_tokens": 300,
        "final": False,
        "samples": (sample(),),
        **changes,
    }
    return EvaluationReport(step=step, **facts)


def write_points(
    run: Run, values: Mapping[int, float | None], *, name: str = "train/loss", attempt: int = 1
) -> None:
    """Store points of one series directly; None stands for NaN."""
    from django.utils import timezone

    now = timezone.now()
    MetricPoint.objects.bulk_create(
        [
            MetricPoint(
                run=run,
                name=name,
                step=step,
                attempt=attempt,
                value=value,
                non_finite="" if value is not None else "nan",
                at=now,
            )
            for step, value in values.items()
        ]
    )
    refresh(run.pk, touched_by((name, step) for step in values))


def wait_until[Found](look: Callable[[], Found | None], *, seconds: float = 60, what: str = "it") -> Found:
    """Look again and again until something is found; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.05)


def fresh(run: Run) -> Run:
    run.refresh_from_db()
    return run


def packages_without_jax(folder: Path) -> Path:
    """Give a folder with all packages of this environment but JAX and what builds on it."""
    for entry in Path(django.__file__).parent.parent.iterdir():
        if not entry.name.startswith(("jax", "flax", "optax", "orbax")):
            (folder / entry.name).symlink_to(entry)
    return folder


def start_manage(*words: str, **options: Any) -> "subprocess.Popen[str]":
    """Start ``manage.py`` with the test's database and folders, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def manage(*words: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run ``manage.py`` to its end."""
    process = start_manage(*words)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        end_session(process)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def manage_json(*words: str, timeout: float = 120) -> dict[str, Any]:
    """Run ``manage.py … --json``, which must succeed; give the object it prints."""
    done = manage(*words, "--json", timeout=timeout)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, done.stdout
    return dict(json.loads(lines[0]))


def end_session(process: "subprocess.Popen[Any]") -> None:
    """Kill what is left of a process that `start_manage` started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
