"""Names that move by themselves: to the checkpoint whose evaluation is best by a chosen metric."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from runs.models import Alias, AliasRule, Checkpoint, Evaluation
from runs.overlap.checking import check_waiting
from runs.overlap.facts import overlap_facts
from runs.promotion.gates import may_speak, speaking, unmet_by
from runs.promotion.moving import move
from tunix_site.errors import UserError

log = logging.getLogger(__name__)

# By metric: what it says, and whether more is better unless a rule says otherwise.
METRICS: Final[dict[str, tuple[str, bool]]] = {
    "interval_low": ("lower bound of the answer accuracy", True),
    "answer_accuracy": ("answer accuracy", True),
    "step_accuracy": ("share of valid steps", True),
    "format_rate": ("share of texts with exactly one answer", True),
    "majority_accuracy": ("accuracy of the commonest answer", True),
    "loss": ("loss, nats per supervised token", False),
}


@dataclass(frozen=True, slots=True)
class Followed:
    """What a name that follows a metric came to: how many evaluations counted, and what was left out."""

    alias: Alias | None
    moved: bool
    counted: int
    left_out: int
    why: str = ""


def look_and_follow(*, rows: QuerySet[Evaluation] | None = None, seconds: float = 25.0) -> int:
    """Look for the overlap of evaluations that wait for it; names follow each as soon as it counts.

    Gives how many were looked at.
    """
    return check_waiting(seconds=seconds, rows=rows, then=lambda row: follow_evaluations([row]))


def follow_evaluations(rows: Iterable[Evaluation]) -> None:
    """Let the names of some evaluations' datasets follow, after their overlap was stored.

    A name that cannot move is told in the log, and keeps no other from it.
    """
    scopes = {row.dataset.key for row in rows if row.dataset is not None}
    for rule in AliasRule.objects.filter(scope__in=scopes).exclude(metric=""):
        try:
            follow(rule)
        except UserError as error:
            log.warning("%s:%s stays where it is: %s", rule.scope, rule.name, error)


def follow(rule: AliasRule) -> Followed:
    """Point a name at the best evaluation's checkpoint, where that is not where it points already.

    Only evaluations count that may speak (`gates.may_speak`) and meet the rest of the rule, with the
    checkpoint still on the disk. Step 0 goes after all others. Equal values: the present one stays, then the
    larger n, then the earlier evaluation.
    """
    alias = Alias.objects.select_related("checkpoint").filter(scope=rule.scope, name=rule.name).first()
    ranked, left_out = [], 0
    rows = speaking(Evaluation.objects.filter(superseded=False), rule)
    for row in rows.select_related("dataset").defer("pass_at").order_by("pk"):
        value = getattr(row, rule.metric)
        if value is None or not math.isfinite(value) or not may_speak(row):
            continue
        if unmet_by(row, rule):
            left_out += 1
            continue
        here = alias is not None and _is_at(row, alias.checkpoint)
        value = value if rule.higher_is_better else -value
        ranked.append(((row.step > 0, value, here, row.n, -row.pk), row))
    for _, row in sorted(ranked, key=lambda one: one[0], reverse=True):
        checkpoint = checkpoint_of(row)
        if checkpoint is None:
            continue
        moved = move(
            checkpoint, name=rule.name, scope=rule.scope, why=_why(rule, row, left_out), evaluation=row
        )
        return Followed(moved.alias, moved.changed, len(ranked), left_out)
    why = "no evaluation that counts has its checkpoint on the disk" if ranked else "no evaluation counts"
    return Followed(alias, False, len(ranked), left_out, why)


def checkpoint_of(evaluation: Evaluation) -> Checkpoint | None:
    """Find the checkpoint that an evaluation graded, where its files are there."""
    row = evaluation.checkpoint
    if row is None:
        row = Checkpoint.objects.filter(
            run=evaluation.run_id, step=evaluation.step, superseded=False, removed_at=None
        ).first()
    return row if row and not row.superseded and row.removed_at is None and row.on_disk else None


def _is_at(row: Evaluation, checkpoint: Checkpoint | None) -> bool:
    if checkpoint is None:
        return False
    if row.checkpoint_id:
        return row.checkpoint_id == checkpoint.pk
    return (row.run_id, row.step) == (checkpoint.run_id, checkpoint.step)


def _why(rule: AliasRule, row: Evaluation, left_out: int) -> str:
    what = METRICS.get(rule.metric, (rule.metric, True))[0]
    which = "highest" if rule.higher_is_better else "lowest"
    value = getattr(row, rule.metric)
    shown = f"{value:.4f}" if rule.metric == "loss" else f"{value:.1%}"
    text = f"{which} {what}: {shown}, evaluation {row.pk}, n = {row.n}, {overlap_facts(row.overlap).label}"
    if not left_out:
        return text
    return f"{text}; {left_out} {'does' if left_out == 1 else 'do'} not meet its rule"
