"""What every test of the repository gets: a place of its own for files, people with roles."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# How fast examples come and run depends on what else the machine does, which is no property of the code.
hypothesis_settings.register_profile("any load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any load")

# Before the settings are read: tests never touch the files of the working copy, and one key
# serves all of them. The database is SQLite in memory, or what DATABASE_URL names.
_SESSION_DIR = tempfile.TemporaryDirectory(prefix="tunix-tests-")
os.environ["TUNIX_ARTIFACTS_DIR"] = str(Path(_SESSION_DIR.name) / "artifacts")
os.environ["TUNIX_SECRET_KEY_PATH"] = str(Path(_SESSION_DIR.name) / "secret-key")
os.environ.setdefault("TUNIX_LOG_LEVEL", "WARNING")
for _name in ("DJANGO_DEBUG", "DJANGO_ALLOWED_HOSTS", "TUNIX_HTTPS", "Q_CLUSTER_NAME"):
    os.environ.pop(_name, None)


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    # Looked up when asked for, instead of walking every static folder for every test client.
    settings.WHITENOISE_AUTOREFRESH = True
    # A file, not memory: child processes must see the same rows (fixture `process_database`).
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        database.setdefault("TEST", {})["NAME"] = str(Path(_SESSION_DIR.name) / "test.sqlite3")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def artifacts_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """An artifacts directory for this test alone, also for the processes that it starts."""
    directory = tmp_path / "artifacts"
    settings.TUNIX_ARTIFACTS_DIR = directory
    monkeypatch.setenv("TUNIX_ARTIFACTS_DIR", str(directory))
    return directory


@pytest.fixture
def process_database(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the test database, also in DATABASE_URL, for tests that start processes of ours."""
    from urllib.parse import quote

    from django.conf import settings
    from django.db import connection

    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{facts['NAME']}"
    else:
        secret = f":{quote(facts['PASSWORD'], safe='')}" if facts["PASSWORD"] else ""
        port = f":{facts['PORT']}" if facts["PORT"] else ""
        host = quote(facts["HOST"], safe="")
        where = f"/{facts['NAME']}?host={host}" if host.startswith("%2F") else f"{host}{port}/{facts['NAME']}"
        url = f"postgresql://{quote(facts['USER'], safe='')}{secret}@{where}"
    monkeypatch.setenv("DATABASE_URL", url)
    # Tasks of the queue are signed, so all processes must have the key that this one read.
    monkeypatch.setenv("DJANGO_SECRET_KEY", settings.SECRET_KEY)
    return url


@pytest.fixture
def make_user(db: None) -> Callable[..., Any]:
    """Make an account: ``make_user("ann", "operator")``; no group: an account without a role."""
    from django.contrib.auth.models import User

    from tunix_site.services import ensure_roles

    def make(username: str, group: str | None = None, **fields: Any) -> Any:
        user = User.objects.create_user(username, password="correct horse 1", **fields)
        if group:
            user.groups.add(ensure_roles()[group])
        return user

    return make


@pytest.fixture
def viewer(make_user: Callable[..., Any]) -> Any:
    return make_user("viewer", "viewer")


@pytest.fixture
def operator(make_user: Callable[..., Any]) -> Any:
    return make_user("operator", "operator")


@pytest.fixture
def administrator(make_user: Callable[..., Any]) -> Any:
    return make_user("administrator", "admin", is_staff=True)


@pytest.fixture
def token_headers(make_user: Callable[..., Any]) -> Callable[[str], dict[str, str]]:
    """Headers of a fresh token: ``client.get(url, headers=token_headers("operate"))``."""
    from tunix_site.roles import GROUP_OF_SCOPE
    from tunix_site.services import issue_token

    made = 0

    def headers(scope: str) -> dict[str, str]:
        nonlocal made
        made += 1
        user = make_user(f"{scope}-token-{made}", GROUP_OF_SCOPE[scope])
        return {"Authorization": f"Bearer {issue_token(user=user, scope=scope).token}"}

    return headers


pytest_plugins = ["tunix_site.tests.browser"]
