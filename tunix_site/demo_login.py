"""The login that ``make demo`` offers: made once, its password kept in a file only its owner can read."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User

from tunix_site.errors import ConflictError
from tunix_site.services import record_audit

DEMO_USER = "demo"


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """A user name, its password, and whether the account was made just now."""

    username: str
    password: str
    created: bool


def login_file() -> Path:
    """Return where the demo's password is kept."""
    return Path(settings.TUNIX_ARTIFACTS_DIR) / ".demo-login"


def ensure_demo_login() -> DemoLogin:
    """Return the demo's login, making account and password where they are missing.

    An account whose password somebody changed is left alone.

    Raises:
        ConflictError: the account stands, but its password is not the one in the file.
    """
    password = _kept_password()
    user = User.objects.filter(username=DEMO_USER).first()
    if user is None:
        password = password or _keep(secrets.token_urlsafe(12))
        user = User.objects.create_superuser(DEMO_USER, password=password)
        record_audit(actor=None, action="user.create", target_type="user", target_id=user.pk)
        return DemoLogin(DEMO_USER, password, created=True)
    if password is None or not user.check_password(password):
        raise ConflictError(
            f"The account “{DEMO_USER}” stands, but its password is not known here.",
            hint=f"Set one: manage.py changepassword {DEMO_USER}.",
        )
    return DemoLogin(DEMO_USER, password, created=False)


def _kept_password() -> str | None:
    try:
        kept = json.loads(login_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    password = kept.get("password") if isinstance(kept, dict) else None
    return password if isinstance(password, str) and password else None


def _keep(password: str) -> str:
    path = login_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"username": DEMO_USER, "password": password}, file)
    return password
