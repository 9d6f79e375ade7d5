"""Keep benchmark records, and find those to compare with."""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from runs.benchmarks.regression import TOLERANCE, Comparison, compare
from runs.models import Benchmark, Run
from training.config import HARMLESS_FIELDS, TrainConfig
from tunix_site.errors import InvalidInputError, NotFoundError

SCHEMA_VERSION: Final = 2


def recipe_key(run: Run) -> str:
    """Name what a benchmark measures: the same recipe on the same data has the same key.

    Fields that change no update, and the number of updates, make no other recipe.
    """
    config = {name: value for name, value in run.config.items() if name not in {*HARMLESS_FIELDS, "steps"}}
    content = run.dataset.content_hash if run.dataset else None
    text = json.dumps([config, content], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def store_benchmark(run: Run, record: dict[str, Any], at: dt.datetime) -> Benchmark:
    """Write a finished benchmark's row and its file ``artifacts/benchmarks/<id>.json``."""
    row, _ = Benchmark.objects.update_or_create(
        run=run,
        defaults={
            **_of_the_run(run),
            "model": record["model"],
            "batch_size": record["batch_size"],
            "sequence_length": record["sequence_length"],
            "precision": record["precision"],
            "step_time_median": record["step_time"]["median"],
            "tokens_per_second": record["tokens_per_second"],
            "created_at": at,
        },
    )
    return _keep(row, record)


def store_failure(run: Run, *, reason: str) -> Benchmark:
    """Write the row of a benchmark that could not be carried out: no figures, but why."""
    config = TrainConfig.model_validate(run.config)
    row, _ = Benchmark.objects.update_or_create(
        run=run,
        defaults={
            **_of_the_run(run),
            "model": config.model,
            "batch_size": config.batch_size,
            "sequence_length": config.sequence_length,
            "precision": config.precision,
            "failure": reason,
            "created_at": timezone.now(),
        },
    )
    facts = {name: getattr(row, name) for name in ("model", "batch_size", "sequence_length", "precision")}
    return _keep(row, {**facts, "config": run.config, "failure": reason})


def _of_the_run(run: Run) -> dict[str, Any]:
    return {
        "record": {},
        "name": run.name,
        "recipe": recipe_key(run),
        "group": str(run.params.get("group", "")),
        "device_name": run.device_name,
    }


def _keep(row: Benchmark, record: dict[str, Any]) -> Benchmark:
    run = row.run
    row.record = {
        "schema_version": SCHEMA_VERSION,
        "benchmark_id": row.pk,
        "run_id": run.pk,
        "name": row.name,
        "recipe": row.recipe,
        "group": row.group,
        "created_at": row.created_at.isoformat(),
        "dataset": run.dataset.key if run.dataset else None,
        "content_hash": run.dataset.content_hash if run.dataset else None,
        "device_name": row.device_name,
        "device_kind": run.device_kind,
        "device_index": run.device_index,
        "device_uuid": run.device_uuid,
        "profile_dir": run.params.get("profile_dir") or None,
        **record,
        "provenance": Run.objects.values_list("provenance", flat=True).get(pk=run.pk),
    }
    row.save(update_fields=["record"])
    write_json(benchmark_path(row), row.record)
    return row


def benchmark_path(row: Benchmark) -> Path:
    """Give the file of a benchmark."""
    return Path(settings.TUNIX_ARTIFACTS_DIR) / "benchmarks" / f"{row.pk}.json"


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    draft.replace(path)


def find_baseline(text: str, *, model: str, device_name: str) -> list[Benchmark]:
    """Find the repeats to compare with: those around the ``last`` of this model and device, a name, an id.

    A name stands for all its repeats of the newest one's recipe on this device; an id for that one and
    what the same command started of the same recipe.

    Raises:
        InvalidInputError: for a text that is none of these, or one that was measured on another device.
        NotFoundError: when there is none.
    """
    rows = Benchmark.objects.filter(failure="").select_related("run")
    if text == "last":
        row = rows.filter(model=model, device_name=device_name).order_by("-id").first()
        if row is None:
            raise NotFoundError("There is no earlier benchmark of this model on this device to compare with.")
        return _repeats_of(row)
    named = rows.filter(name=text).order_by("-id")
    here = named.filter(device_name=device_name).first()
    if here is not None:
        return list(named.filter(device_name=device_name, recipe=here.recipe).order_by("id"))
    row = named.first() or _by_number(text)
    if row.device_name != device_name:
        raise InvalidInputError(
            f"Benchmark {text} was measured on {row.device_name}, this is {device_name}.",
            hint="Only what ran on the same device can be compared.",
        )
    return _repeats_of(row)


def _by_number(text: str) -> Benchmark:
    if not text.isdecimal() or len(text) > 18:
        raise InvalidInputError(f"--compare-to {text!r}: write last, a benchmark's number or its --name.")
    row = Benchmark.objects.filter(pk=int(text)).select_related("run").first()
    if row is None:
        raise NotFoundError(f"There is no benchmark {text}.")
    if row.failure:
        raise InvalidInputError(f"Benchmark {text} failed, so it has no times to compare with.")
    return row


def _repeats_of(row: Benchmark) -> list[Benchmark]:
    if not row.group:
        return [row]
    same = Benchmark.objects.filter(group=row.group, recipe=row.recipe, failure="")
    return list(same.select_related("run").order_by("id"))


def compare_rows(
    rows: Sequence[Benchmark], baseline: Sequence[Benchmark], *, tolerance: float = TOLERANCE
) -> Comparison:
    """Compare the step times of two sets of repeats."""
    ours, theirs = ([row.record["step_time"]["series"] for row in side] for side in (rows, baseline))
    return compare(ours, theirs, tolerance=tolerance)
