"""Runs as the tabs of a page meet them: full, failed, forked, huge."""

import datetime as dt
from pathlib import Path

from django.utils import timezone

from runs.forking import fork_run
from runs.ingest import ingest_attempt
from runs.models import Attempt, Checkpoint, Evaluation, Run, Tag
from runs.states import Kind, Status
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    run_in,
    sample,
    start,
)
from tunix_site.models import AuditEvent
from tunix_site.tests.pages import WILD

LONG = "WithoutAnySpace" * 20
# Every tab by its part of the address.
TABS = (
    "", "evaluations/", "logs/", "config/", "checkpoints/", "attempts/", "system/", "provenance/", "notes/",
    "recipe/",
)  # fmt: skip
# With those that packages of their own make.
EVERY_TAB = (*TABS, "charts/", "samples/", "playground/")
NOTES = (
    "# What it shows\n\nThe **loss** falls; see [run 1](/runs/1/).\n\n- first\n- second\n\n"
    "| a | b |\n|--|--|\n| 1 | 2 |\n"
)
LOG = "".join(f"step {number} loss {3 / number:.4f}\n" for number in range(1, 400))


def finished_run(root: Path, *, name: str = WILD) -> Run:
    """A completed training that left something for every tab."""
    attempt = start(make_run(dataset=make_dataset(), name=name, config={"steps": 40}))
    recorder = journal(attempt)
    for step in range(1, 41):
        speed = {"train/tokens_per_second": 40_000.0 + step, "train/step_time": 0.1}
        more = {"train/grad_norm": 1.0 + step % 7, "train/learning_rate": 1e-3, "system/host_memory": 2.0**30}
        recorder.metrics(step, {"train/loss": 3.0 / step, **speed, **more})
    for step in (20, 40):
        info = checkpoint_info(root, step)
        recorder.checkpoint(info)
        wrong = sample(
            prompt=WILD, generated_text=WILD, generated_steps=(WILD, "more"), correct=False, answer=WILD
        )
        recorder.evaluation(
            evaluation_report(
                step,
                answer_accuracy=step / 50,
                correct=step // 4,
                samples=(sample(), wrong),
                final=step == 40,
            )
        )
        recorder.metrics(
            step, {"eval/loss": 0.5, "eval/answer_accuracy": step / 50, "eval/step_accuracy": 0.8}
        )
        recorder.metrics(step, {"system/checkpoint_stall": 0.25, "system/checkpoint_time": 2.5})
    recorder.provenance(
        {
            "command": ["python", LONG],
            "threads": 2,
            "git_commit": "a" * 40,
            "installed": ["a==1", "b==2"],
            "git_diff": f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{WILD}\n+{LONG}\n",
        }
    )
    recorder.end("completed", step=40, final_loss=0.075, params_hash="a" * 64)
    ingest_attempt(attempt)
    finish(attempt)
    run = fresh(attempt.run)
    run.attempt_directory(1).joinpath("log.txt").write_text(f"{LOG}{WILD}\n{LONG * 5}\n")
    Run.objects.filter(pk=run.pk).update(notes=NOTES, parameters=423_040)
    run.tags.add(Tag.objects.get_or_create(name="baseline")[0])
    return fresh(run)


def forked_run(parent: Run) -> Run:
    """A fork that was interrupted, resumed inexactly, and overtook points and an evaluation."""
    run = fork_run(parent, step=40, changes={"steps": 60, "learning_rate": 0.002}, name="fork")
    first = start(run)
    for step in range(41, 51):
        journal(first).metrics(step, {"train/loss": 1.0})
    journal(first).evaluation(evaluation_report(50))
    ingest_attempt(first)
    finish(first, Status.FAILED)
    second = start(fresh(run))
    journal(second).resumed(45, "micro_batch 4 → 8")
    for step in range(46, 61):
        journal(second).metrics(step, {"train/loss": 0.5})
    ingest_attempt(second)
    finish(second)
    return fresh(run)


def failed_run(cause: str = "device_memory") -> Run:
    """A training that failed for want of memory, with the last lines of its log."""
    run = run_in(Status.FAILED, name=LONG, total_steps=100)
    error = "Traceback (most recent call last):\n" + "".join(f"  line {number}\n" for number in range(30))
    Run.objects.filter(pk=run.pk).update(
        error=f"{error}MemoryError: <b>{LONG}</b>", reason="out of memory: 12.3 GiB were asked for", step=37
    )
    Attempt.objects.filter(run=run).update(cause=cause, exit_code=-9)
    return fresh(run)


def running_run() -> Run:
    """A training at work, at step 40 of 100, at 100 ms a step."""
    run = run_in(Status.RUNNING, dataset=make_dataset(), total_steps=100, name="at work")
    attempt = Attempt.objects.get(run=run)
    for step in range(2, 41):
        journal(attempt).metrics(step, {"train/loss": 4.0 / step, "train/step_time": 0.1})
    ingest_attempt(attempt)
    return fresh(run)


def written_run() -> Run:
    """A completed generation of two texts."""
    drawn = {"max_new_tokens": 256, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "samples": 2}
    run = make_run(kind=Kind.GENERATE, total_steps=0, params={"step": 40, "prompt": "7+3*2", **drawn})
    short = {"text": "7+3=0\n0*2=0\n#0", "tokens": 15, "stopped_at_eos": True}
    texts = [short, {"text": LONG, "tokens": 256, "stopped_at_eos": False}]
    Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, result={**short, "texts": texts})
    return fresh(run)


def make_huge(run: Run, *, count: int = 10_000) -> None:
    """Give a run ten thousand of everything that a tab lists."""
    now = timezone.now()
    moments = [now + dt.timedelta(seconds=number) for number in range(count)]
    Checkpoint.objects.bulk_create(
        Checkpoint(
            run=run, step=100 + number, attempt=1, path=f"/gone/{number}", size_bytes=number, created_at=at,
            removed_at=at if number % 2 else None, removed_why="the retention" if number % 2 else "",
        )
        for number, at in enumerate(moments)
    )  # fmt: skip
    Evaluation.objects.bulk_create(
        Evaluation(
            run=run, made_by=run, attempt=1, step=100 + number, split="test", n=100, correct=number % 100,
            loss=1.0, answer_accuracy=number % 100 / 100, interval_low=0.0, interval_high=1.0,
            step_accuracy=None,
            seconds=1.0, generated_tokens=1, created_at=at,
        )
        for number, at in enumerate(moments)
    )  # fmt: skip
    AuditEvent.objects.bulk_create(
        AuditEvent(action="run.noted", target_type="run", target_id=str(run.pk), detail={"number": number})
        for number in range(count)
    )
    Attempt.objects.bulk_create(
        Attempt(run=run, number=100 + number, host="h", device="cpu:0", status=Status.FAILED)
        for number in range(count)
    )
