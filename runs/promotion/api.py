"""REST routes of aliases: names on checkpoints, their moves and their rules."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Status
from ninja.errors import HttpError

from runs.models import Alias, AliasMove, AliasRule
from runs.promotion.moving import let_go, promote
from runs.promotion.names import LONGEST_SCOPE, scope_of
from runs.promotion.rules import drop_rule, set_rule
from runs.promotion.schemas import (
    AliasDropIn,
    AliasHistoryOut,
    AliasIn,
    AliasMoveOut,
    AliasOut,
    RuleIn,
    RuleOut,
)
from runs.selectors import find_checkpoint, get_run
from tunix_site.auth import ADMIN, OPERATE, READ, require
from tunix_site.roles import covers
from tunix_site.schemas import ERRORS, MAX_ROW_ID, Limit, Offset

aliases_router = Router(tags=["training"])

ScopeQuery = Annotated[str, Query(max_length=LONGEST_SCOPE, description="dataset key; empty: all")]
NameQuery = Annotated[str, Query(max_length=40, description="empty: all")]
MAX_ROWS = 1000


def _clean(text: str) -> str:
    return text.replace("\x00", "")


@aliases_router.get("aliases", response={200: list[AliasOut], **ERRORS}, auth=READ, summary="Aliases")
def list_aliases(
    request: HttpRequest,
    scope: ScopeQuery = "",
    name: NameQuery = "",
    run: Annotated[
        int | None, Query(ge=1, le=MAX_ROW_ID, description="whose checkpoints they point at")
    ] = None,
) -> list[AliasOut]:
    """List the names that point at checkpoints."""
    rows = Alias.objects.exclude(checkpoint=None).select_related("checkpoint")
    if scope:
        rows = rows.filter(scope=_clean(scope))
    if name:
        rows = rows.filter(name=_clean(name))
    if run:
        rows = rows.filter(checkpoint__run=run)
    return [AliasOut.of(row) for row in rows[:MAX_ROWS]]


@aliases_router.post(
    "aliases", response={200: AliasOut, 201: AliasOut, **ERRORS}, auth=OPERATE, summary="Promote a checkpoint"
)
def promote_checkpoint(request: HttpRequest, payload: AliasIn) -> Status[AliasOut]:
    """Point a name at a checkpoint: 201 where it moved, 200 where it pointed there already.

    409 names each condition of the name's rule that the checkpoint does not meet.
    """
    identity = require(request, "operate")
    if payload.override and not covers(identity.scope, "admin"):
        raise HttpError(403, "Going over the rule of a name needs the right “admin”.")
    run = get_run(run_id=payload.run_id)
    moved = promote(
        find_checkpoint(run=run, which=payload.checkpoint),
        name=payload.name,
        scope=scope_of(run, payload.scope),
        why=payload.why,
        actor=identity.user,
        override=payload.override,
    )
    return Status(201 if moved.changed else 200, AliasOut.of(moved.alias))


@aliases_router.post(
    "aliases/let-go", response={200: AliasOut, **ERRORS}, auth=OPERATE, summary="Let a name go"
)
def drop_alias(request: HttpRequest, payload: AliasDropIn) -> AliasOut:
    """Let a name point at nothing, so that its checkpoint may go; the history stays."""
    user = require(request, "operate").user
    return AliasOut.of(
        let_go(name=_clean(payload.name), scope=_clean(payload.scope), why=payload.why, actor=user).alias
    )


@aliases_router.get(
    "aliases/history", response={200: AliasHistoryOut, **ERRORS}, auth=READ, summary="Moves of aliases"
)
def history(
    request: HttpRequest, scope: ScopeQuery = "", name: NameQuery = "", limit: Limit = 50, offset: Offset = 0
) -> AliasHistoryOut:
    """List every move of names, the newest first: from where, where to, by whom and why."""
    rows = AliasMove.objects.all()
    if scope:
        rows = rows.filter(scope=_clean(scope))
    if name:
        rows = rows.filter(name=_clean(name))
    return AliasHistoryOut(
        items=[AliasMoveOut.of(row) for row in rows[offset : offset + limit]], count=rows.count()
    )


@aliases_router.get(
    "aliases/rules", response={200: list[RuleOut], **ERRORS}, auth=READ, summary="Rules of aliases"
)
def list_rules(request: HttpRequest, scope: ScopeQuery = "") -> list[RuleOut]:
    """List what names ask of a checkpoint, and which follow a metric by themselves."""
    rows = AliasRule.objects.filter(scope=_clean(scope)) if scope else AliasRule.objects.all()
    return [RuleOut.of(row) for row in rows[:MAX_ROWS]]


@aliases_router.put(
    "aliases/rules", response={200: RuleOut, **ERRORS}, auth=ADMIN, summary="Set a rule of an alias"
)
def write_rule(request: HttpRequest, payload: RuleIn) -> RuleOut:
    """Write what a name asks of a checkpoint, or change some of it; a name that follows moves at once."""
    user = require(request, "admin").user
    rule, _ = set_rule(scope=payload.scope, name=payload.name, changes=payload.changes(), actor=user)
    return RuleOut.of(rule)


@aliases_router.delete(
    "aliases/rules/{scope}/{name}",
    response={204: None, **ERRORS},
    auth=ADMIN,
    summary="Drop a rule of an alias",
)
def delete_rule(request: HttpRequest, scope: str, name: str) -> Status[None]:
    """Let a name be moved by hand and without conditions again."""
    drop_rule(scope=_clean(scope), name=_clean(name), actor=require(request, "admin").user)
    return Status(204, None)
