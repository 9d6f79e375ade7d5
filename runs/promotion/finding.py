"""Checkpoints by the names that point at them."""

import re

from runs.models import Alias, Checkpoint, Run
from runs.models.promotion import NAME_PATTERN
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError


def checkpoint_named(run: Run, which: str) -> Checkpoint:
    """Find the checkpoint of a run that ``NAME`` or ``SCOPE:NAME`` points at.

    Raises:
        ConflictError: where two scopes have it on two checkpoints of the run, or its files are gone.
        InvalidInputError: for a text that can be no name.
        NotFoundError: naming the aliases that the run's checkpoints have.
    """
    scope, _, name = which.rpartition(":")
    if not re.match(NAME_PATTERN, name) or "\x00" in scope:
        raise InvalidInputError(
            f"--checkpoint {which[:160]!r}: write latest, best, a step number or an alias.",
            hint="An alias is NAME, or SCOPE:NAME where two scopes have it.",
        )
    there = Alias.objects.filter(checkpoint__run=run).select_related("checkpoint__run")
    found = there.filter(name=name, **({"scope": scope} if scope else {}))
    checkpoints = {row.checkpoint_id: row for row in found}
    if not checkpoints:
        raise _none(run, which, list(there.order_by("scope", "name")[:20]))
    if len(checkpoints) > 1:
        ways = " or ".join(f"{row} (step {row.checkpoint.step})" for row in found if row.checkpoint)
        raise ConflictError(f"{name} points at several checkpoints of run {run.pk}.", hint=f"Write {ways}.")
    checkpoint = next(iter(checkpoints.values())).checkpoint
    if checkpoint is None or checkpoint.removed_at or not checkpoint.on_disk:
        raise ConflictError(f"What {which} points at is no longer on the disk of this machine.")
    if checkpoint.superseded:
        raise ConflictError(
            f"What {which} points at was overtaken by a resume of run {run.pk}.",
            hint="Promote a checkpoint of the newer attempt.",
        )
    return checkpoint


def _none(run: Run, which: str, there: list[Alias]) -> NotFoundError:
    elsewhere = (
        Alias.objects.filter(name=which.rpartition(":")[2])
        .exclude(checkpoint=None)
        .exclude(checkpoint__run=run)
        .select_related("checkpoint")
        .first()
    )
    listed = ", ".join(f"{row} (step {row.checkpoint.step})" for row in there if row.checkpoint)
    hints = [f"Its aliases are: {listed}." if listed else "No alias points at a checkpoint of this run."]
    hints.append("Or write latest, best or a step number.")
    if elsewhere is not None and elsewhere.checkpoint is not None:
        hints.append(f"{elsewhere} points at run {elsewhere.checkpoint.run_id}.")
    return NotFoundError(f"{which} points at no checkpoint of run {run.pk}.", hint=" ".join(hints))
