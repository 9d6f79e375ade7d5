"""Real trainings, interrupted at random moments, against the one that was never interrupted.

Each trial ends one process by a signal (SIGKILL, SIGTERM, SIGTERM twice) in one of the phases; the run is
resumed until it completes, and must then have the same parameters and the same history.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from runs.models import Evaluation, MetricPoint, Run, Sample
from runs.states import Status
from runs.tests.support import end_session, fresh, manage_json, start_manage
from runs.tests.training_support import newest_run

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

RECIPE = (
    "--dataset=golden-v2", "--device=cpu", "--model=nano", "--steps=180", "--save-every-steps=30",
    "--set=batch_size=4", "--set=micro_batch=2", "--set=dropout=0.1", "--set=ema_decay=0.9",
    "--set=sequence_length=256", "--set=warmup_steps=10", "--set=eval_every_steps=45", "--set=eval_limit=4",
    "--set=final_eval_limit=4", "--set=max_new_tokens=24", "--foreground",
)  # fmt: skip
MOMENTS = ("compiling", "training", "evaluating", "saving", "resuming")
SIGNALS = ((signal.SIGKILL,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM))
TIMES = {"train/step_time", "train/tokens_per_second"}


def history(run: Run) -> dict[str, Any]:
    """Everything that must be equal to the bit: points, evaluations and what the model wrote."""
    points = MetricPoint.objects.filter(run=run, superseded=False).exclude(name__in=TIMES)
    points = points.exclude(name__startswith="system/")
    rows = list(points.values_list("name", "step", "value", "non_finite"))
    assert len(rows) == len({row[:2] for row in rows}), "one value a step"
    evaluations = Evaluation.objects.filter(made_by=run, superseded=False)
    samples = Sample.objects.filter(evaluation__in=evaluations).order_by("evaluation__step", "position")
    return {
        "points": sorted(rows),
        "evaluations": sorted(evaluations.values_list("step", "n", "correct", "loss", "generated_tokens")),
        "samples": list(samples.values_list("evaluation__step", "prompt", "generated_text")),
        "params_hash": run.params_hash,
    }


def phase_of(run: Run) -> str:
    """Read where the newest attempt stands from its journal, as its child has just written it."""
    try:
        lines = (run.attempt_directory(run.attempt) / "metrics.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return ""
    phases = [event["name"] for line in lines if '"phase"' in line and (event := parse(line))]
    return str(phases[-1]) if phases else ""


def parse(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def child_of(supervisor: "subprocess.Popen[str]") -> int | None:
    for task in Path(f"/proc/{supervisor.pid}/task").glob("*/children"):
        for pid in task.read_text().split():
            if "execute_run" in Path(f"/proc/{pid}/cmdline").read_text():
                return int(pid)
    return None


def is_writing(run: Run) -> bool:
    return any(Path(run.checkpoint_dir).glob(".partial-*"))


def now_at(run: Run, moment: str) -> bool:
    """Tell whether the newest attempt is at this moment of its life."""
    if moment == "saving":
        return is_writing(run)
    if moment == "training" and is_writing(run):
        return False
    return phase_of(run) == ("starting" if moment == "resuming" else moment)


def interrupt(
    supervisor: "subprocess.Popen[str]", run_of: Callable[[], Run | None], moment: str, draw: random.Random
) -> tuple[str, int | None]:
    """Send the signals at the moment; return where they met the child, and the first."""
    delay = draw.random() * (0.05 if moment == "training" else 0.01)
    run = None
    while supervisor.poll() is None:
        run = run or run_of()
        if run and now_at(run, moment):
            time.sleep(delay)
            met = "saving" if is_writing(run) else phase_of(run)
            child = child_of(supervisor)
            if child is None:
                return "", None
            signals = draw.choice(SIGNALS)
            for number in signals:
                try:
                    os.kill(child, number)
                except ProcessLookupError:
                    # A second signal that comes too late takes nothing from the first.
                    break
            return "resuming" if met == "starting" else met, signals[0]
    return "", None


def trials(count: int, draw: random.Random) -> Counter[str]:
    """Interrupt one run after another until ``count`` signals met a child; each must equal the whole run."""
    whole = history(Run.objects.get(pk=manage_json("train", *RECIPE, timeout=300)["run_id"]))
    met: Counter[str] = Counter()
    moments = itertools.cycle(MOMENTS)
    while met.total() < count:
        last = newest_run()
        assert last is not None
        words: tuple[str, ...] = ("train", *RECIPE)
        run: Run | None = None
        while run is None or run.status != Status.COMPLETED:
            moment = next(moments)
            if run is None and moment == "resuming":
                continue
            if run is not None:
                words = ("train", f"--resume-from={run.pk}", "--foreground")
            supervisor = start_manage(*words)
            attempt = run.attempt + 1 if run else 1
            try:
                where, first = "", None
                if met.total() < count:
                    current = partial(_current, run, last.pk, attempt)
                    where, first = interrupt(supervisor, current, moment, draw)
                supervisor.communicate(timeout=300)
            finally:
                end_session(supervisor)
            if where:
                met[where] += 1
            run = fresh(run) if run else newest_run(after=last.pk)
            assert run is not None
            expected = Status.FAILED if first == signal.SIGKILL else Status.STOPPED
            assert run.status in {Status.COMPLETED, expected}, f"{run.status}: {run.reason}"
        assert history(run) == whole, f"{run} differs, interrupted {run.attempt - 1} times; so far {met}"
    return met


def _current(run: Run | None, before: int, attempt: int) -> Run | None:
    """Give the run once its attempt of this number has begun."""
    found = fresh(run) if run else newest_run(after=before)
    connection.close()
    return found if found and found.attempt == attempt else None


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """So many processors for all processes that the test starts."""
    before = os.sched_getaffinity(0)
    if len(before) < request.param:
        pytest.skip(f"this machine has fewer than {request.param} processors")
    os.sched_setaffinity(0, sorted(before)[: request.param])
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("dataset")
def test_interrupted_in_every_phase_it_ends_in_the_same_bits():
    met = trials(5, random.Random(5))
    assert met.total() >= 5


@pytest.mark.long
@pytest.mark.usefixtures("dataset", "threads")
@pytest.mark.parametrize("threads", [1, 2], indirect=True)
def test_thirty_interruptions_change_nothing(threads):
    met = trials(30, random.Random(30))
    print(f"interruptions by phase: {dict(met)}")
    assert set(met) >= set(MOMENTS)


def files_of(step_dir: Path) -> list[Path]:
    return sorted(path for path in step_dir.rglob("*") if path.is_file())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "flipped": lambda path: path.write_bytes(
        bytes([path.read_bytes()[0] ^ 16]) + path.read_bytes()[1:] if path.stat().st_size else b"x"
    ),
    "deleted": lambda path: path.unlink(),
}


def corruption_trial(whole: dict[str, Any], which: int, damage: str) -> str:
    """Stop a run in the middle, damage one file of its newest checkpoint, resume; name the file."""
    last = newest_run()
    assert last is not None
    supervisor = start_manage("train", *RECIPE)
    try:
        while not (run := newest_run(after=last.pk)) or fresh(run).step < 40:
            assert supervisor.poll() is None
            time.sleep(0.05)
        child = child_of(supervisor)
        assert child is not None
        os.kill(child, signal.SIGTERM)
        supervisor.communicate(timeout=120)
    finally:
        end_session(supervisor)
    newest = max(int(path.name) for path in Path(run.checkpoint_dir).iterdir() if path.name.isdecimal())
    files = files_of(Path(run.checkpoint_dir) / str(newest))
    path = files[which % len(files)]
    DAMAGES[damage](path)
    manage_json("train", f"--resume-from={run.pk}", "--foreground", timeout=300)
    run = fresh(run)
    log = (run.attempt_directory(run.attempt) / "log.txt").read_text()
    assert f"/{newest}" in log, log
    assert "set-aside" in log
    assert run.attempts.get(number=2).start_step < newest
    assert history(run) == whole
    return f"{path.name} {damage}"


@pytest.mark.usefixtures("dataset")
def test_a_damaged_checkpoint_is_named_and_the_one_before_leads_to_the_same_bits():
    whole = history(Run.objects.get(pk=manage_json("train", *RECIPE, timeout=300)["run_id"]))
    assert corruption_trial(whole, 3, "flipped")


@pytest.mark.long
@pytest.mark.usefixtures("dataset")
def test_every_file_of_a_checkpoint_damaged_in_every_way():
    whole = history(Run.objects.get(pk=manage_json("train", *RECIPE, timeout=300)["run_id"]))
    run = newest_run()
    assert run is not None
    count = len(files_of(Path(run.checkpoint_dir) / "180"))
    tried = [corruption_trial(whole, which, damage) for which in range(count) for damage in DAMAGES]
    print(f"{len(tried)} damages")
