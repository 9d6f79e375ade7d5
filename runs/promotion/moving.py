"""Point a name at a checkpoint, or let it go: one guarded UPDATE and one line of history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from runs.models import Alias, AliasMove, AliasRule, Checkpoint, Evaluation
from runs.promotion.gates import judge, rule_of
from runs.promotion.holding import mark_held
from runs.promotion.names import check_name, check_scope, check_why
from runs.services import Actor
from tunix_site.errors import ConflictError, NotFoundError
from tunix_site.services import record_audit

ATTEMPTS: Final = 20
LONGEST_WHO: Final = 150


class GateError(ConflictError):
    """A checkpoint does not meet what a name asks for; ``unmet`` names each condition."""

    def __init__(self, alias: str, checkpoint: Checkpoint, unmet: Sequence[str]) -> None:
        self.unmet = list(unmet)
        super().__init__(
            f"{alias} cannot point at step {checkpoint.step} of run {checkpoint.run_id}: {'; '.join(unmet)}.",
            hint="An administrator may override this with a reason.",
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of a move: the alias as it stands, and whether anything changed."""

    alias: Alias
    changed: bool

    @property
    def text(self) -> str:
        """Say it."""
        checkpoint = self.alias.checkpoint
        if checkpoint is None:
            return f"{self.alias} points at nothing now."
        where = f"step {checkpoint.step} of run {checkpoint.run_id}"
        return (
            f"{self.alias} points at {where}." if self.changed else f"{self.alias} already points at {where}."
        )


def promote(
    checkpoint: Checkpoint,
    *,
    name: str,
    scope: str,
    why: str,
    actor: Actor = None,
    who: str = "",
    override: bool = False,
) -> Moved:
    """Point ``SCOPE:NAME`` at a checkpoint; ``who`` names somebody who has no account here.

    Whether ``actor`` may do so, and may ``override`` the name's gate, is for the caller to check.

    Raises:
        ConflictError: where its files are gone or overtaken, or the name moves by itself.
        GateError: naming each condition of the name's rule that is not met.
        InvalidInputError: for a name or a reason that cannot be one.
        NotFoundError: for a scope that is no dataset's key.
    """
    check_name(name)
    check_scope(scope)
    rule = rule_of(scope, name)
    _require_by_hand(rule, hint="Take the metric out of its rule to move it by hand, or choose another name.")
    judged = judge(checkpoint, rule)
    if judged.unmet and not override:
        raise GateError(f"{scope}:{name}", checkpoint, judged.unmet)
    return move(
        checkpoint,
        name=name,
        scope=scope,
        why=check_why(why),
        actor=actor,
        who=who,
        evaluation=judged.evaluation,
        unmet=judged.unmet,
    )


def let_go(*, name: str, scope: str, why: str, actor: Actor = None, who: str = "") -> Moved:
    """Let a name point at nothing; its history stays.

    Raises:
        ConflictError: where it moves by itself.
        InvalidInputError: for a name or a reason that cannot be one.
        NotFoundError: where there is no such name, or it points at nothing.
    """
    check_name(name)
    reason = check_why(why)
    if "\x00" in scope:
        raise NotFoundError(f"There is no dataset {scope[:100]!r}.")
    _require_by_hand(
        rule_of(scope, name),
        hint="An administrator deletes its rule first (manage.py aliases --no-rule); then it can be let go.",
    )
    if not Alias.objects.filter(scope=scope, name=name).exclude(checkpoint=None).exists():
        raise NotFoundError(f"{scope[:100]}:{name[:40]} points at nothing.")
    return move(None, name=name, scope=scope, why=reason, actor=actor, who=who)


def move(
    checkpoint: Checkpoint | None,
    *,
    name: str,
    scope: str,
    why: str,
    actor: Actor = None,
    who: str = "",
    evaluation: Evaluation | None = None,
    unmet: Sequence[str] = (),
) -> Moved:
    """Move an alias whatever its rule says; of two at the same moment one goes after the other.

    Raises:
        ConflictError: where the checkpoint's files are gone, or the alias does not come to rest.
    """
    if checkpoint is not None:
        require_there(checkpoint)
        # Before the row: from here on the retention of a training at work leaves it alone.
        mark_held(checkpoint, also=[f"{scope}:{name}"])
    try:
        before, moved = _try_to_move(checkpoint, name, scope, why, actor, who, evaluation, unmet)
    finally:
        if checkpoint is not None:
            mark_held(checkpoint)
    if before is not None and (checkpoint is None or before.pk != checkpoint.pk):
        mark_held(before)
    return moved


def _try_to_move(
    checkpoint: Checkpoint | None,
    name: str,
    scope: str,
    why: str,
    actor: Actor,
    who: str,
    evaluation: Evaluation | None,
    unmet: Sequence[str],
) -> tuple[Checkpoint | None, Moved]:
    for _ in range(ATTEMPTS):
        alias = Alias.objects.select_related("checkpoint").filter(scope=scope, name=name).first()
        before = alias.checkpoint if alias else None
        if alias is not None and checkpoint is not None and alias.checkpoint_id == checkpoint.pk:
            return before, Moved(alias, changed=False)
        try:
            with transaction.atomic():
                written = _write(alias, checkpoint, name, scope, why, actor, who, evaluation)
                if written is not None:
                    _record(written, before, actor, unmet)
                    if checkpoint is not None:
                        # What was deleted since is noticed here, and nothing is written.
                        require_there(checkpoint)
                    return before, Moved(written, changed=True)
        except IntegrityError:
            # Somebody else was first to use the name: look again.
            if alias is not None:
                raise
    raise ConflictError(f"{scope}:{name} is being moved by many at once.", hint="Try again.")


def _write(
    alias: Alias | None,
    checkpoint: Checkpoint | None,
    name: str,
    scope: str,
    why: str,
    actor: Actor,
    who: str,
    evaluation: Evaluation | None,
) -> Alias | None:
    """Write the alias where it still stands as it was seen; None where it does not."""
    known = actor if isinstance(actor, User) and actor.pk else None
    news = {
        "checkpoint": checkpoint,
        "evaluation": evaluation,
        "why": why,
        "moved_by": known,
        "moved_by_name": known.get_username() if known else who[:LONGEST_WHO],
        "moved_at": timezone.now(),
    }
    if alias is None:
        return Alias.objects.create(scope=scope, name=name, version=1, **news)
    seen = Alias.objects.filter(pk=alias.pk, version=alias.version)
    if not seen.update(version=alias.version + 1, **news):
        return None
    return Alias.objects.select_related("checkpoint").get(pk=alias.pk)


def _record(alias: Alias, before: Checkpoint | None, actor: Actor, unmet: Sequence[str]) -> None:
    """Keep the move, in the alias's history and in the record of who did what."""
    now = alias.checkpoint
    AliasMove.objects.create(
        scope=alias.scope,
        name=alias.name,
        version=alias.version,
        from_run=before.run_id if before else None,
        from_step=before.step if before else None,
        to_run=now.run_id if now else None,
        to_step=now.step if now else None,
        evaluation=alias.evaluation_id,
        moved_by=alias.moved_by,
        moved_by_name=alias.moved_by_name,
        why=alias.why,
        unmet=list(unmet),
        moved_at=alias.moved_at,
    )
    detail = {"alias": str(alias), "reason": alias.why, "overridden": list(unmet)}
    if now is not None:
        record_audit(
            actor=actor,
            action="checkpoint.promoted",
            target_type="run",
            target_id=now.run_id,
            detail={"step": now.step, **detail},
        )
    if before is not None and (now is None or now.run_id != before.run_id):
        record_audit(
            actor=actor,
            action="checkpoint.alias_left",
            target_type="run",
            target_id=before.run_id,
            detail={"step": before.step, **detail},
        )


def _require_by_hand(rule: AliasRule | None, *, hint: str) -> None:
    if rule is not None and rule.metric:
        raise ConflictError(f"{rule.scope}:{rule.name} follows {rule.metric} by itself.", hint=hint)


def require_there(checkpoint: Checkpoint) -> None:
    """Make sure that a name can point at a checkpoint.

    Raises:
        ConflictError: where its files are gone, or a resume overtook it.
    """
    row = Checkpoint.objects.filter(pk=checkpoint.pk).first()
    named = f"The checkpoint of step {checkpoint.step} of run {checkpoint.run_id}"
    if row is None or row.removed_at is not None or not row.on_disk:
        raise ConflictError(f"{named} is no longer on the disk.")
    if row.superseded:
        raise ConflictError(f"{named} was overtaken by a resume.", hint="Choose one of the newer attempt.")
