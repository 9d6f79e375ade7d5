"""Keep and compare benchmark records."""

import datetime as dt
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from runs.models import Benchmark, Run
from tunix_site.errors import InvalidInputError, NotFoundError

SCHEMA_VERSION = 1
# Medians closer than this are not told apart; a slower one beyond it is a regression.
TOLERANCE = 0.05


def store_benchmark(run: Run, record: dict[str, Any], at: dt.datetime) -> Benchmark:
    """Write a finished benchmark's row and its file ``artifacts/benchmarks/<id>.json``."""
    row, _ = Benchmark.objects.update_or_create(
        run=run,
        defaults={
            "record": {},
            "device_name": run.device_name,
            "model": record["model"],
            "batch_size": record["batch_size"],
            "sequence_length": record["sequence_length"],
            "precision": record["precision"],
            "step_time_median": record["step_time"]["median"],
            "tokens_per_second": record["tokens_per_second"],
            "created_at": at,
        },
    )
    row.record = {
        "schema_version": SCHEMA_VERSION,
        "benchmark_id": row.pk,
        "run_id": run.pk,
        "created_at": at.isoformat(),
        "dataset": run.dataset.key if run.dataset else None,
        "content_hash": run.dataset.content_hash if run.dataset else None,
        "device_kind": run.device_kind,
        "device_index": run.device_index,
        "device_uuid": run.device_uuid,
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


def find_baseline(text: str, *, model: str, device_name: str) -> Benchmark:
    """Find the benchmark to compare with: ``last`` of this model and device, a name, or an id.

    Raises:
        InvalidInputError: for a text that is neither.
        NotFoundError: when there is none.
    """
    rows = Benchmark.objects.all()
    if text == "last":
        row = rows.filter(model=model, device_name=device_name).order_by("-id").first()
        if row is None:
            raise NotFoundError("There is no earlier benchmark of this model on this device to compare with.")
        return row
    by_name = rows.filter(run__name=text).order_by("-id").first()
    if by_name is not None:
        return by_name
    if not text.isdecimal() or len(text) > 18:
        raise InvalidInputError(f"--compare-to {text!r}: write last, a benchmark's number or its --name.")
    row = rows.filter(pk=int(text)).first()
    if row is None:
        raise NotFoundError(f"There is no benchmark {text}.")
    return row


@dataclass(frozen=True, slots=True)
class Comparison:
    """Step time against a baseline. ``ratio`` above 1 is slower."""

    baseline_id: int
    ratio: float
    verdict: str

    @property
    def is_regression(self) -> bool:
        """Whether the new one is clearly slower."""
        return self.verdict == "slower"


def compare(new: Benchmark, baseline: Benchmark) -> Comparison:
    """Compare median step times; apart only where the medians differ and the middle ranges do not overlap.

    The middle range runs from the 10th to the 90th percentile of the steps.
    """
    ratio = new.step_time_median / baseline.step_time_median
    ours, theirs = new.record["step_time"], baseline.record["step_time"]
    if ratio > 1 + TOLERANCE and ours["p10"] > theirs["p90"]:
        verdict = "slower"
    elif ratio < 1 - TOLERANCE and ours["p90"] < theirs["p10"]:
        verdict = "faster"
    else:
        verdict = "no clear difference"
    return Comparison(baseline.pk, ratio, verdict)
