"""Decide how equal a reproduction came out, once, when its run has completed."""

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from runs.comparing import Comparison, compare
from runs.differences import differences
from runs.models import Checkpoint, MetricPoint, Reproduction, Run, Verdict
from runs.states import Status

History = dict[str, dict[int, float | str]]


def settle(run: Run) -> Reproduction | None:
    """Write the verdict of the reproduction that ``run`` is, where it has completed and has none yet.

    Returns:
        The reproduction as it then stands, None where the run reproduces nothing.
    """
    row = Reproduction.objects.select_related("of", "run").filter(run=run).first()
    if row is None or row.verdict != Verdict.PENDING or row.run.status != Status.COMPLETED:
        return row
    facts = _decide(row)
    with transaction.atomic():
        # Guarded, so that of two that decide at the same moment one alone writes.
        Reproduction.objects.filter(pk=row.pk, verdict=Verdict.PENDING).update(
            finished_at=timezone.now(), **facts
        )
    row.refresh_from_db()
    return row


def in_words(row: Reproduction) -> str:
    """Say the verdict in one sentence."""
    if row.verdict == Verdict.IDENTICAL:
        return f"Bitwise identical in all {row.points_compared} points. {row.reason}".strip()
    if row.verdict == Verdict.NOT_COMPARABLE:
        return f"Not comparable, because {row.reason}."
    if row.verdict == Verdict.PENDING:
        again = "; resume it to get a verdict" if row.run.is_resumable else ""
        return f"Not decided yet: run {row.run_id} is {row.run.status}{again}."
    first = row.first_difference
    if not first:
        return f"Identical until step {row.identical_until}, but the parameters at the end differ."
    apart = [one["final_relative"] for one in row.metrics if one["final_relative"] is not None]
    far = f", {max(apart):.3g} relative apart at the end" if apart else ""
    return (
        f"Identical until step {row.identical_until}, then {first['name']} is {first['after']} at step "
        f"{first['step']} where it was {first['before']}{far}."
    )


def history(run: Run) -> History:
    """Read all points of a run that no resume overtook, as they are stored."""
    found: History = {}
    rows = MetricPoint.objects.filter(run=run, superseded=False).order_by("name", "step", "attempt")
    for name, step, value, word in rows.values_list("name", "step", "value", "non_finite").iterator():
        found.setdefault(name, {})[step] = word if value is None else value
    return found


def _decide(row: Reproduction) -> dict[str, Any]:
    found = [asdict(one) for one in differences(row.of.provenance, row.run.provenance)]
    inexact = row.run.inexact_attempts.first()
    if inexact is not None:
        reason = f"run {row.run_id} was resumed where that gives other bits ({inexact.inexact})"
        return {"verdict": Verdict.NOT_COMPARABLE, "reason": reason, "differences": found}
    compared = compare(
        history(row.of), history(row.run), after_step=row.run.parent_step or 0, to_step=row.to_step
    )
    hash_equal = _same_hash(row)
    facts = {"differences": found, "params_hash_equal": hash_equal, **_as_columns(compared)}
    if compared.points == 0:
        return {**facts, "verdict": Verdict.NOT_COMPARABLE, "reason": "there is no point to compare"}
    same = compared.identical and hash_equal is not False
    without = "Metrics alone: the original has no hash of its parameters at that step."
    return {
        **facts,
        "verdict": Verdict.IDENTICAL if same else Verdict.DIFFERS,
        "reason": without if hash_equal is None else "",
    }


def _as_columns(compared: Comparison) -> dict[str, Any]:
    first = compared.first
    return {
        "identical_until": compared.identical_until,
        "points_compared": compared.points,
        "metrics": [asdict(one) for one in compared.metrics],
        "first_difference": {
            "name": first.name,
            "step": first.first_step,
            "before": first.before,
            "after": first.after,
        }
        if first
        else {},
    }


def _same_hash(row: Reproduction) -> bool | None:
    """Compare the parameters at the end; None where the original's are not known there."""
    step = row.run.step
    wanted = row.of.params_hash if row.of.step == step and row.of.status == Status.COMPLETED else ""
    if not wanted:
        kept = Checkpoint.objects.filter(run=row.of, step=step, superseded=False).first()
        wanted = kept.metadata.get("params_hash", "") if kept else ""
    return wanted == row.run.params_hash if wanted and row.run.params_hash else None
