"""What the tab of checkpoints shows of aliases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runs.models import Alias, AliasMove, AliasRule, Checkpoint, Run

MOVES_SHOWN: Final = 20
PROPOSED: Final = ("production", "candidate")


@dataclass(frozen=True, slots=True)
class ShownAliases:
    """Names on a run's checkpoints, their newest moves, and what the form to promote offers.

    ``following``: those of ``here`` that move by themselves.
    """

    by_checkpoint: dict[int, list[Alias]]
    here: list[Alias]
    moves: list[AliasMove]
    rules: list[AliasRule]
    following: set[int]
    proposed: list[str]
    scope: str
    choices: list[Checkpoint]


def shown_aliases(run: Run, rows: Sequence[Checkpoint]) -> ShownAliases:
    """Gather what a page of a run's checkpoints shows of aliases, with three queries."""
    here = list(Alias.objects.filter(checkpoint__run=run).select_related("checkpoint"))
    by_checkpoint: dict[int, list[Alias]] = {}
    for alias in here:
        by_checkpoint.setdefault(alias.checkpoint_id or 0, []).append(alias)
    scope = run.dataset.key if run.dataset else ""
    known = list(AliasRule.objects.filter(scope__in={one.scope for one in here} | {scope}))
    rules = [rule for rule in known if rule.scope == scope]
    by_themselves = {(rule.scope, rule.name) for rule in known if rule.metric}
    names = {one.name for one in here} | {rule.name for rule in rules if not rule.metric} | set(PROPOSED)
    return ShownAliases(
        by_checkpoint=by_checkpoint,
        here=here,
        moves=list(
            (AliasMove.objects.filter(to_run=run.pk) | AliasMove.objects.filter(from_run=run.pk))[
                :MOVES_SHOWN
            ]
        ),
        rules=rules,
        following={one.pk for one in here if (one.scope, one.name) in by_themselves},
        proposed=sorted(names - {rule.name for rule in rules if rule.metric}),
        scope=scope,
        choices=[row for row in rows if not row.superseded and row.removed_at is None and row.on_disk],
    )
