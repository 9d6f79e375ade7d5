"""Who is asking, and may they? Bearer tokens first, then sessions.

Routes take ``auth=READ``, ``auth=OPERATE`` or ``auth=ADMIN``. Without credentials, or with
bad ones, the answer is 401; a known user without the right gets 403, and so does an
unsafe request on a session without its CSRF token.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from ninja.errors import AuthenticationError, HttpError
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.utils import check_csrf

from tunix_site.models import ApiToken
from tunix_site.roles import ScopeName, covers, narrower, user_scope
from tunix_site.services import digest_token

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
IDENTITY_KEY = "_tunix_identity"
LAST_USED_GRAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """A known user, the scope this request has, and the token it came with (None: a session)."""

    user: User
    scope: ScopeName | None
    token: ApiToken | None = None


def identify(request: HttpRequest) -> Identity | None:
    """Return who sent the request, or None. Asks the database once a request.

    A request that brings an ``Authorization`` header stands or falls with it: a bad token is
    not rescued by a good session.
    """
    known: dict[str, Any] = request.__dict__
    if IDENTITY_KEY not in known:
        known[IDENTITY_KEY] = _find_identity(request)
    found: Identity | None = known[IDENTITY_KEY]
    return found


def _find_identity(request: HttpRequest) -> Identity | None:
    header = request.headers.get("Authorization")
    if header is not None:
        kind, _, token = header.partition(" ")
        return _identify_token(token.strip()) if kind.lower() == "bearer" else None
    user = request.user
    if isinstance(user, User) and user.is_active:
        return Identity(user=user, scope=user_scope(user))
    return None


def _identify_token(token: str) -> Identity | None:
    if not token.isascii():
        return None
    row = ApiToken.objects.select_related("user").filter(digest=digest_token(token)).first()
    if row is None or not row.is_live or not row.user.is_active:
        return None
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_GRAIN)
    try:
        ApiToken.objects.filter(stale, pk=row.pk).update(last_used_at=now)
    except DatabaseError:  # a busy database must not close the door on a reader
        logger.warning("The last use of token %s could not be written down.", row.prefix)
    scope = narrower(_as_scope(row.scope), user_scope(row.user))
    return Identity(user=row.user, scope=scope, token=row)


def _as_scope(name: str) -> ScopeName | None:
    match name:
        case "read" | "operate" | "admin":
            return name
        case _:
            return None


def require(request: HttpRequest, scope: ScopeName) -> Identity:
    """Return who is asking.

    Raises:
        AuthenticationError: nobody known is asking (401).
        HttpError: a known user without ``scope`` (403).
    """
    identity = identify(request)
    if identity is None:
        raise AuthenticationError(message="Sign in, or send a valid token as “Authorization: Bearer …”.")
    if not covers(identity.scope, scope):
        held = identity.scope or "none"
        raise HttpError(403, f"This needs the right “{scope}”; the right you have is “{held}”.")
    return identity


class _Scoped:
    """What both kinds of credentials share: the scope that a route needs."""

    scope: ScopeName | None

    def check(self, request: HttpRequest) -> Identity:
        """Let the request through, or raise 401 or 403."""
        default: ScopeName = "read" if request.method in SAFE_METHODS else "operate"
        return require(request, self.scope or default)


class BearerAuth(_Scoped, HttpBearer):
    """``Authorization: Bearer TOKEN``."""

    def __init__(self, scope: ScopeName | None) -> None:
        self.scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> Identity | None:
        """Judge the request by its ``Authorization`` header, if it has one."""
        return self.check(request) if "Authorization" in request.headers else None

    def authenticate(self, request: HttpRequest, token: str) -> Identity | None:
        """Look a token up (part of the base class's interface)."""
        return _identify_token(token)


class SessionAuth(_Scoped, APIKeyCookie):
    """The cookie of a signed-in browser; unsafe methods also need the CSRF token."""

    param_name: str = settings.SESSION_COOKIE_NAME

    def __init__(self, scope: ScopeName | None) -> None:
        self.scope = scope
        super().__init__(csrf=True)

    def __call__(self, request: HttpRequest) -> Identity | None:
        """Judge the request by its session: 401 for nobody, 403 without the CSRF token or the right."""
        if identify(request) is None:
            return None
        if check_csrf(request) is not None:
            raise HttpError(403, "The CSRF token is missing or wrong: send it as X-CSRFToken.")
        return self.check(request)

    def authenticate(self, request: HttpRequest, key: str | None) -> Identity | None:
        """Look a session up (part of the base class's interface)."""
        return identify(request)


type Authenticators = Sequence[Callable[[HttpRequest], Any]]

READ: Authenticators = [BearerAuth("read"), SessionAuth("read")]
OPERATE: Authenticators = [BearerAuth("operate"), SessionAuth("operate")]
ADMIN: Authenticators = [BearerAuth("admin"), SessionAuth("admin")]
BY_METHOD: Authenticators = [BearerAuth(None), SessionAuth(None)]
"""What a route gets that names nothing: read for safe methods, operate for the others."""


def scope_required[**P, R: HttpResponseBase](
    scope: ScopeName,
) -> Callable[[Callable[Concatenate[HttpRequest, P], R]], Callable[Concatenate[HttpRequest, P], R]]:
    """Guard a page: a signed-in user without ``scope`` sees the 403 page."""

    def decorate(view: Callable[Concatenate[HttpRequest, P], R]) -> Callable[Concatenate[HttpRequest, P], R]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if not covers(user_scope(request.user), scope):
                raise PermissionDenied(f"This needs the right “{scope}”. Ask an administrator for it.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate
