"""Strict readers of environment variables.

An unexpected value stops the start with one line that names the variable, the value (never a
secret) and what is allowed. An unset or empty variable means its default.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
POSTGRES_SCHEMES = frozenset({"postgresql", "postgres"})
POSTGRES_OPTIONS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name"}
)
MAX_SECRET_BYTES = 65536
HOST_PATTERN = re.compile(
    r"\*|\.?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+"
)
ORIGIN_PATTERN = re.compile(r"https?://[A-Za-z0-9*\[][A-Za-z0-9.*:\[\]-]*")


def _refuse(name: str, shown: str, allowed: str) -> NoReturn:
    raise ImproperlyConfigured(f"{name}={shown} cannot be used: {allowed}.")


class Env:
    """The environment, read strictly. ``values`` is `os.environ` outside tests."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values: Mapping[str, str] = os.environ if values is None else values

    def text(self, name: str, default: str = "") -> str:
        """Return the value, without surrounding space."""
        return self.values.get(name, "").strip() or default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a yes or no."""
        value = self.text(name)
        if not value:
            return default
        if value.lower() in TRUE_WORDS:
            return True
        if value.lower() in FALSE_WORDS:
            return False
        _refuse(name, repr(value), "allowed are 1, true, yes, on and 0, false, no, off")

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number between ``least`` and ``most``."""
        value = self.text(name)
        if not value:
            return default
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value) or not least <= int(value) <= most:
            _refuse(name, repr(value), f"it must be a whole number from {least} to {most}")
        return int(value)

    def choice(self, name: str, *, default: str, allowed: tuple[str, ...]) -> str:
        """Return one of ``allowed``, whatever its case."""
        value = self.text(name, default)
        for word in allowed:
            if value.lower() == word.lower():
                return word
        _refuse(name, repr(value), f"allowed are {', '.join(allowed)}")

    def words(self, name: str) -> list[str]:
        """Return the parts of a comma-separated list."""
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    def hosts(self, name: str, *, default: list[str]) -> list[str]:
        """Return host names (no scheme, no port), as ``ALLOWED_HOSTS`` takes them."""
        hosts = self.words(name)
        for host in hosts:
            if not HOST_PATTERN.fullmatch(host):
                _refuse(
                    name,
                    repr(host),
                    "give host names or addresses, without scheme or port, and commas between",
                )
        return [
            f"[{host}]" if ":" in host and not host.startswith("[") else host for host in hosts
        ] or default

    def origins(self, name: str) -> list[str]:
        """Return origins such as ``https://train.example.org``."""
        origins = self.words(name)
        for origin in origins:
            if not ORIGIN_PATTERN.fullmatch(origin):
                _refuse(
                    name, repr(origin), "give origins such as https://train.example.org, with commas between"
                )
        return origins

    def origin(self, name: str, *, default: str) -> str:
        """Return one origin, without a slash at its end."""
        value = self.text(name, default).rstrip("/")
        if not ORIGIN_PATTERN.fullmatch(value):
            _refuse(name, repr(value), "give an origin such as http://127.0.0.1:8000")
        return value

    def path(self, name: str, *, base: Path, default: Path) -> Path:
        """Return an absolute path. A relative one starts at ``base``, so that all processes mean the same."""
        value = self.text(name)
        if "\0" in value:
            _refuse(name, repr(value), "a path has no NUL character")
        return base / Path(value).expanduser() if value else default

    def time_zone(self, name: str, *, default: str) -> str:
        """Return the name of a time zone that this machine knows."""
        value = self.text(name, default)
        if value != "UTC" and value not in available_timezones():
            _refuse(name, repr(value), "it must be the name of a time zone, such as UTC or Europe/Berlin")
        return value

    def secret(self, name: str) -> str:
        """Return a secret from ``NAME`` or from the file that ``NAME_FILE`` names; empty: neither is set."""
        value, file_name = self.text(name), self.text(f"{name}_FILE")
        if value and file_name:
            _refuse(name, "(hidden)", f"{name}_FILE is set too; set one of them")
        if not file_name:
            return value
        try:
            with Path(file_name).open("rb") as file:
                content = file.read(MAX_SECRET_BYTES).decode().strip()
        except (OSError, ValueError) as error:
            _refuse(f"{name}_FILE", repr(file_name), f"the file cannot be read ({type(error).__name__})")
        if not content:
            _refuse(f"{name}_FILE", repr(file_name), "the file is empty")
        return content

    def database(self, name: str, *, base: Path, default: Path) -> dict[str, Any]:
        """Return Django's settings of the database that ``NAME`` or ``NAME_FILE`` describes."""
        url = self.secret(name)
        return parse_database_url(url, base=base, name=name) if url else sqlite_settings(default)


def parse_database_url(url: str, *, base: Path, name: str = "DATABASE_URL") -> dict[str, Any]:
    """Turn ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST:PORT/NAME`` into Django's settings.

    What follows ``sqlite:///`` is the path: ``sqlite:///my.db`` lies in ``base``,
    ``sqlite:////srv/my.db`` is ``/srv/my.db``.

    Raises:
        ImproperlyConfigured: for anything else; the message never shows a password.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        path = unquote(rest.removeprefix("/"))
        if not rest.startswith("/") or not path or "?" in rest or "\0" in path or path == ":memory:":
            _refuse(
                name, f"sqlite://{rest}", "write it as sqlite:///PATH, the path of a file, without options"
            )
        return sqlite_settings(base / Path(path).expanduser())
    if separator and scheme in POSTGRES_SCHEMES:
        return _postgresql_settings(url, name)
    shown = f"{scheme}://…" if separator else "(hidden)"
    _refuse(name, shown, "allowed are sqlite:///PATH and postgresql://USER:PASSWORD@HOST:PORT/NAME")


def sqlite_settings(path: Path) -> dict[str, Any]:
    """Return Django's settings of an SQLite file, tuned for many readers and one writer."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # Readers never wait for the writer, and a writer takes its lock at BEGIN, where
            # waiting helps, and not in the middle, where SQLite can only fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-16000;",
        },
    }


def _postgresql_settings(url: str, name: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        _refuse(name, "postgresql://…", f"it cannot be parsed ({type(error).__name__})")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database or parts.fragment:
        _refuse(
            name, "postgresql://…", "it must end with the name of one database, as in postgresql://HOST/NAME"
        )
    host = unquote(options.pop("host", "")) or unquote(parts.hostname or "")
    other_port = options.pop("port", "")
    if other_port and not other_port.isdecimal():
        _refuse(name, f"postgresql://…?port={other_port}", "a port is a number")
    unknown = sorted(set(options) - POSTGRES_OPTIONS)
    if unknown:
        _refuse(
            name,
            f"postgresql://…?{unknown[0]}=…",
            f"options allowed are host, port, {', '.join(sorted(POSTGRES_OPTIONS))}",
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or other_port),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
