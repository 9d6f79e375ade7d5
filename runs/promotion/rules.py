"""What a name asks of a checkpoint, changed by administrators."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction

from runs.models import AliasRule
from runs.promotion.following import METRICS, Followed, follow
from runs.promotion.names import check_name, check_scope
from runs.services import Actor
from tunix_site.errors import InvalidInputError, NotFoundError
from tunix_site.services import record_audit

FIELDS: Final = (
    "metric",
    "higher_is_better",
    "split",
    "grader",
    "content_hash",
    "min_n",
    "min_accuracy",
    "overlap",
)
SPLITS: Final = ("test", "train")
MOST_N: Final = 2**31 - 1
_GRADER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,59}|")
_HASH: Final = re.compile(r"[0-9a-f]{4,64}|")


def set_rule(
    *, scope: str, name: str, changes: Mapping[str, Any], actor: Actor = None
) -> tuple[AliasRule, Followed | None]:
    """Write the rule of a name anew, or change some fields of it; a name that follows moves at once.

    Whether ``actor`` may is for the caller to check.

    Raises:
        InvalidInputError: naming the field that is wrong.
        NotFoundError: for a scope that is no dataset's key.
    """
    check_scope(scope)
    check_name(name)
    if unknown := sorted(changes.keys() - set(FIELDS)):
        raise InvalidInputError(
            f"A rule has no field {', '.join(unknown)[:100]}.", hint=f"It has {', '.join(FIELDS)}."
        )
    values = dict(changes)
    if values.get("metric") and values.get("higher_is_better") is None:
        values["higher_is_better"] = METRICS.get(values["metric"], ("", True))[1]
    if values.get("higher_is_better") is None:
        values.pop("higher_is_better", None)
    with transaction.atomic():
        rule = AliasRule.objects.filter(scope=scope, name=name).first() or AliasRule(scope=scope, name=name)
        for field, value in values.items():
            setattr(rule, field, value)
        check_rule(rule)
        rule.changed_by = actor if isinstance(actor, User) and actor.pk else None
        rule.save()
        detail = {field: getattr(rule, field) for field in FIELDS}
        record_audit(
            actor=actor, action="alias.rule", target_type="alias", target_id=str(rule)[8:], detail=detail
        )
    return rule, follow(rule) if rule.metric else None


def drop_rule(*, scope: str, name: str, actor: Actor = None) -> None:
    """Let a name be moved by hand and without conditions again.

    Raises:
        NotFoundError: where it has no rule.
    """
    with transaction.atomic():
        deleted, _ = AliasRule.objects.filter(scope=scope, name=name).delete()
        if not deleted:
            raise NotFoundError(f"{scope[:100]}:{name[:40]} has no rule.")
        record_audit(
            actor=actor, action="alias.rule_dropped", target_type="alias", target_id=f"{scope}:{name}"
        )


def check_rule(rule: AliasRule) -> None:
    """Make sure that every field of a rule can be meant.

    Raises:
        InvalidInputError: naming the first that cannot.
    """
    share = rule.min_accuracy
    if rule.metric and rule.metric not in METRICS:
        raise InvalidInputError(
            f"metric: there is no {str(rule.metric)[:40]!r} to follow.",
            hint=f"Write one of {', '.join(METRICS)}.",
        )
    if rule.split not in SPLITS:
        raise InvalidInputError(f"split: {str(rule.split)[:20]!r} is neither test nor train.")
    if not _GRADER.fullmatch(rule.grader):
        raise InvalidInputError(f"grader: {rule.grader[:60]!r} is no name of a grader.")
    if not _HASH.fullmatch(rule.content_hash):
        raise InvalidInputError(
            "content_hash: write 4 to 64 digits of a content's hash (0-9, a-f), or nothing."
        )
    if isinstance(rule.min_n, bool) or not isinstance(rule.min_n, int) or not 0 <= rule.min_n <= MOST_N:
        raise InvalidInputError(f"min_n: {str(rule.min_n)[:30]} is no number of prompts.")
    if share is not None and not (math.isfinite(share) and 0 <= share <= 1):
        raise InvalidInputError(f"min_accuracy: {share} is no share of 1 (0.95 is 95 %).")
    if rule.overlap not in AliasRule.Overlap.values:
        raise InvalidInputError(
            f"overlap: {str(rule.overlap)[:20]!r} is not known.",
            hint=f"Write one of {', '.join(AliasRule.Overlap.values)}.",
        )
