"""Changes to tokens, roles and the audit record."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone

from tunix_site.models import ApiToken, AuditEvent
from tunix_site.roles import GROUP_OF_SCOPE, covers, user_scope

TOKEN_PREFIX = "tnx_"  # noqa: S105  # tells people what the text is, and is no secret
SHOWN_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token: the row, the text that is shown once, and the group the user had to join for it."""

    row: ApiToken
    token: str
    joined_group: str | None


def digest_token(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal. A token has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def record_audit(
    *,
    actor: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target_type: str = "",
    target_id: object = "",
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Write down that ``actor`` (None: the system itself) did ``action`` to a target."""
    known = actor if isinstance(actor, User) and actor.pk else None
    return AuditEvent.objects.create(
        actor=known,
        actor_name=known.get_username() if known else "",
        action=action,
        target_type=target_type,
        target_id=str(target_id),
        detail=dict(detail or {}),
    )


def ensure_roles() -> dict[str, Group]:
    """Return the three groups by name, making what is missing: a flushed database has lost them."""
    groups: dict[str, Group] = {}
    held: list[Permission] = []
    content_type = ContentType.objects.get_for_model(ApiToken)
    for codename, label in ApiToken._meta.permissions:
        held.append(
            Permission.objects.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": label}
            )[0]
        )
        name = GROUP_OF_SCOPE[codename.removeprefix("scope_")]
        groups[name], made = Group.objects.get_or_create(name=name)
        if made:
            groups[name].permissions.add(*held)
    return groups


@transaction.atomic
def issue_token(
    *,
    user: User,
    scope: str,
    name: str = "",
    expires_at: datetime | None = None,
    actor: User | None = None,
    grant: bool = False,
) -> IssuedToken:
    """Make a token for ``user``. It can never do more than its user may.

    With ``grant``, a user whose role does not cover ``scope`` joins the group that does, so
    that the token works; without it such a token does what the user's role allows.
    """
    joined = None
    if grant and not covers(user_scope(user), scope):
        joined = GROUP_OF_SCOPE[scope]
        user.groups.add(ensure_roles()[joined])
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        scope=scope,
        prefix=token[:SHOWN_CHARACTERS],
        digest=digest_token(token),
        expires_at=expires_at,
    )
    record_audit(
        actor=actor,
        action="token.issue",
        target_type="token",
        target_id=row.pk,
        detail={"user": user.get_username(), "scope": scope, "joined_group": joined},
    )
    return IssuedToken(row=row, token=token, joined_group=joined)


def revoke_token(*, token: ApiToken, actor: User | None = None) -> bool:
    """Close a token for good; tells whether it was open before."""
    changed = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    if changed:
        record_audit(actor=actor, action="token.revoke", target_type="token", target_id=token.pk)
    return bool(changed)
