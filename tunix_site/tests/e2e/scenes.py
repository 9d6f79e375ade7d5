"""What the site holds in the trials of all pages: at work, failed, and far more than anybody expects."""

from pathlib import Path
from typing import Any

from django.urls import reverse
from django.utils import timezone

from datasets_app.imports.request import make_request
from datasets_app.imports.run import carry_out, open_import
from datasets_app.models import Dataset, Import
from datasets_app.quality.reports import request_report
from datasets_app.services import seed_dataset
from datasets_app.tests.support_quality import member, published
from runs.benchmarks.records import store_failure
from runs.listing.organising import archive, change_tags
from runs.models import Attempt, Evaluation, MetricPoint, Run, Sample
from runs.pages.tests.support import finished_run, make_huge
from runs.run_page import tabs_of
from runs.states import Kind, Status
from runs.tests.control_support import hold, make_device, make_worker, queued
from runs.tests.samples_support import graded, record, training
from runs.tests.support import fresh, make_run, release_device, run_in, write_points
from runs.tests.test_benchmark_pages import stored
from training.config import TrainConfig

LONG = "WithoutAnySpace" * 20
RTL = "\N{RIGHT-TO-LEFT OVERRIDE}שלום עולם "
WILD = f"<b>bold</b> {RTL}🦜🦜 {{{{ name }}}} &amp; '\" {LONG}"[:300]


def run_pages(run: Run) -> dict[str, str]:
    """The addresses of every tab that a run has, by name."""
    return {f"run-{tab.name}": tab.url for tab in tabs_of(run)}


def site_at_work(name: str = "") -> Run:
    """A card at work, others that wait, a worker, a host that is gone; gives the run at work."""
    host = name[:60] or "workstation"
    make_worker(host, clusters=[{"name": f"runs@{host}/cpu:0", "pid": 1, "device": "cpu:0", "starts": 2}])
    make_worker("gone", age=900)
    foreign = {"pid": 1, "name": name or "python", "run_id": None, "memory_bytes": 1 << 30}
    facts: dict[str, Any] = {
        "memory_bytes": 80 << 30,
        "free_bytes": 20 << 30,
        "utilisation": 0.97,
        "processes": [foreign],
    }
    card = make_device(host, "gpu", name=name[:200] or "NVIDIA H100 80GB HBM3", **facts)
    make_device(host, memory_bytes=32 << 30, free_bytes=12 << 30, name=name[:200] or "AMD EPYC 9654")
    run = hold(card, step=420, steps=1500, seconds=2.5)
    Run.objects.filter(pk=run.pk).update(
        phase="training", name=name or "chain, 4 layers", heartbeat_at=timezone.now()
    )
    for number in range(3):
        queued(name=name or f"sweep {number}", priority=number)
    return fresh(run)


def dataset_pages(old: Dataset, new: Dataset) -> dict[str, str]:
    """The addresses of the pages about two contents of a dataset."""
    both = {"a": old.address, "b": new.address}
    return {
        "datasets": reverse("datasets:list"),
        "dataset": reverse("datasets:detail", args=[new.address]),
        "dataset-traces": reverse("datasets:traces", args=[new.address]),
        "dataset-trace": reverse("datasets:trace", args=[new.address, 0]),
        "dataset-quality": reverse("datasets:quality", args=[new.address]),
        "dataset-compare": reverse("datasets:compare", query=both),
    }


def two_contents(trials: tuple[int, int] = (30, 60)) -> tuple[Dataset, Dataset]:
    """Two contents of one dataset, the newer one with a report."""
    old, new = (seed_dataset(key="golden-v2", count=count).dataset for count in trials)
    request_report(dataset=new)
    return old, new


def faulty_content(count: int = 1) -> Dataset:
    """A content whose steps are wrong and whose texts are wild, with a report."""
    traces = [
        member(f"What is {number} {WILD}?", [f"2 + 2 = 5 {LONG}", "<<1+1=3>>3"], LONG)
        for number in range(count)
    ]
    dataset = published("faulty-v1", traces)
    request_report(dataset=dataset)
    return dataset


def refused_import(folder: Path) -> Import:
    """An import of which lines were refused."""
    path = folder / f"{LONG[:60]}.jsonl"
    path.write_text('{"question": "q", "answer": "s\\n#### 1"}\n{"bad": 1}\n' + f"{WILD}\n" * 50)
    row = open_import(request=make_request(key="mine", keep_going=True), name=path.name, size=80)
    carry_out(row=row, path=path)
    return row


def failed_benchmark() -> Run:
    """A benchmark that had no room."""
    run = run_in(Status.FAILED, kind=Kind.BENCH, name=WILD)
    run.config = TrainConfig(model="base", batch_size=4096).model_dump(mode="json")
    run.save()
    store_failure(run, reason=f"needs 99 GiB and 3 GiB are free {LONG}")
    return fresh(run)


def listed_runs() -> None:
    """A run in every state, tagged, archived and of other kinds."""
    for status in Status:
        run = run_in(status, name=f"in {status}")
        release_device()
        Run.objects.filter(pk=run.pk).update(last_loss=0.5, tokens_per_second=12345.0, step_seconds=60.0)
        change_tags(run, add=["baseline"])
    archive(make_run(name="put away"))


def failed_training() -> Run:
    """A training that broke after its first points, with wild words wherever it can have some."""
    run = run_in(Status.FAILED, name=WILD, total_steps=100)
    release_device()
    write_points(run, {step: None if step > 20 else 1.0 / step for step in range(1, 31)})
    error = "Traceback (most recent call last):\n" + "  a line\n" * 30
    Run.objects.filter(pk=run.pk).update(
        error=f"{error}FloatingPointError: {WILD}", reason=f"the loss was not finite: {WILD}", step=30
    )
    Attempt.objects.filter(run=run).update(
        cause="not_finite", exit_code=1, reason=WILD, failure=WILD[:200], inexact=f"micro_batch {LONG}"
    )
    run.attempt_directory(1).mkdir(parents=True, exist_ok=True)
    run.attempt_directory(1).joinpath("log.txt").write_text(f"\x1b[31m{error}\x1b[0m{WILD}\n{LONG * 20}\n")
    return fresh(run)


def huge_training(folder: Path) -> Run:
    """A training with thousands of everything, and words that no page expects."""
    run = finished_run(folder, name=WILD)
    make_huge(run, count=2000)
    for name in ("train/loss", "train/grad_norm", f"train/{LONG}"[:80], f"odd/{RTL}🦜 <i>x</i>"[:80]):
        MetricPoint.objects.filter(run=run, name=name).delete()
        write_points(run, {step: 3.0 / step for step in range(1, 4001)}, name=name)
    for number in range(40):
        write_points(run, {1: 1.0, 2: float(number)}, name=f"group_{number % 8}/metric_{number}")
    attempt = Attempt.objects.get(run=run, number=1)
    prompts = [graded(f"{number} {WILD}", LONG if number % 3 else "0") for number in range(60)]
    for step in range(4000, 4004):
        record(attempt, step, prompts)
    run.attempt_directory(1).joinpath("log.txt").write_text(f"{WILD}\n" * 4000)
    Run.objects.filter(pk=run.pk).update(
        notes=f"# {WILD}\n\n| {LONG} | b |\n|--|--|\n| 1 | {WILD} |\n\n```\n{LONG}\n```\n"
        + f"- {WILD}\n" * 100,
        origin=WILD * 4,
        reason=WILD * 3,
        step=2**31 - 1,
        device_name=WILD[:200],
        provenance={"command": ["python", LONG], "git_diff": f"+{LONG}\n" * 400, WILD[:40]: {"deep": [WILD]}},
    )
    change_tags(run, add=[f"{number}-tag-of-forty-letters-that-says-too"[:40] for number in range(15)])
    return fresh(run)


def huge_list() -> list[Run]:
    """Pages of runs with wild names, some with graded answers."""
    graded_runs = [
        training([graded(f"{number} {WILD}", "0" if number % 2 else LONG) for number in range(20)], name=WILD)
        for _ in range(2)
    ]
    wild = [make_run(name=f"{number} {WILD}"[:300]) for number in range(60)]
    for number in range(30):
        queued(name=f"{number} {WILD}"[:300])
    return graded_runs + wild[:10]


def evaluation_pages(run: Run) -> dict[str, str]:
    """The addresses about the newest evaluation of a run, drawn several times, and of asking for one."""
    row = Evaluation.objects.filter(run=run).latest("pk")
    checks = {"format": True, "arithmetic": None, "carried": False, "last_step": True}
    decoding = {"temperature": 1.0, "samples": 4, "seed": 1, "max_new_tokens": 90, "top_k": 0, "top_p": 1.0}
    Evaluation.objects.filter(pk=row.pk).update(
        grader="auto", grader_version=1, decoding=decoding, draws=4, limit=500, format_rate=0.9,
        generation_seconds=2.5, results_hash="ab" * 32, pass_at={"1": 0.5, "2": 0.6, "4": 0.75},
        majority_accuracy=0.55, right_with_invalid_step=3,
    )  # fmt: skip
    row.samples.update(checks=checks, tokens=40)
    for number, one in enumerate(row.samples.all()[:20]):
        Sample.objects.filter(pk=one.pk).update(first_wrong_step=number % 5 or None)
    return {
        "evaluation": row.get_absolute_url(),
        "evaluation-wrong": f"{row.get_absolute_url()}?filter=wrong",
        "evaluate-form": f"/runs/{run.pk}/evaluate/?checkpoint=40&limit=500",
    }


def benchmarks(count: int, name: str = "") -> list[int]:
    """Benchmarks of one recipe; gives their numbers."""
    return [stored(0.1 + number / 100, name=name).pk for number in range(count)]
