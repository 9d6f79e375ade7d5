"""System checks of the site (``manage.py check``): what would fail later, said at the start."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "9p", "glusterfs", "lustre"}
)


def nearest_existing(path: Path) -> Path:
    """Return ``path``, or the first of its parents that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds ``path``; ``mounts`` is the text of ``/proc/mounts``."""
    best, kind = "", ""
    target = f"{path.resolve()}/"
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount_point = fields[1].encode().decode("unicode_escape").rstrip("/") + "/"
        if target.startswith(mount_point) and len(mount_point) >= len(best):
            best, kind = mount_point, fields[2]
    return kind


@register(Tags.files)
def check_artifacts_dir(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Say when nothing can be written into the artifacts directory."""
    directory = Path(settings.TUNIX_ARTIFACTS_DIR)
    standing = nearest_existing(directory)
    if standing.is_dir() and os.access(standing, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"The artifacts directory {directory} cannot be written.",
            hint=f"Give this user the right to write into {standing}, or set TUNIX_ARTIFACTS_DIR.",
            id="tunix_site.E001",
        )
    ]


@register(Tags.files)
def check_sqlite_place(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Say when the SQLite file cannot be written, or lies where WAL mode is not safe."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        return []
    path = Path(database["NAME"])
    if not os.access(nearest_existing(path.parent), os.W_OK) or (
        path.exists() and not os.access(path, os.W_OK)
    ):
        return [
            Error(
                f"The database {path} cannot be written: SQLite needs its directory too.",
                hint="Give this user the right to write there, or set DATABASE_URL.",
                id="tunix_site.E002",
            )
        ]
    try:
        kind = file_system_of(nearest_existing(path), Path("/proc/mounts").read_text())
    except OSError:
        return []
    if kind in NETWORK_FILE_SYSTEMS:
        return [
            Warning(
                f"The database {path} lies on a network file system ({kind}), where WAL mode is not safe.",
                hint="Put it on a local disk, or use PostgreSQL: DATABASE_URL=postgresql://…",
                id="tunix_site.W001",
            )
        ]
    return []


@register(Tags.security)
def check_secret_files(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Say when a file that holds a secret is open to other users of the machine."""
    found: list[CheckMessage] = []
    for name in ("DJANGO_SECRET_KEY_FILE", "DATABASE_URL_FILE"):
        path = os.environ.get(name, "").strip()
        if path and Path(path).exists() and stat.S_IMODE(Path(path).stat().st_mode) & 0o007:
            found.append(
                Warning(
                    f"Every user of this machine can read the secret in {path} ({name}).",
                    hint=f"Run: chmod o-rwx {path}",
                    id="tunix_site.W002",
                )
            )
    return found


@register(Tags.security)
def check_debug_stays_home(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse debugging pages, which show settings and code, on a site that others can reach."""
    if settings.DEBUG and not _loopback_only():
        return [
            Error(
                "DJANGO_DEBUG=1 shows code and settings to everybody whom DJANGO_ALLOWED_HOSTS lets in.",
                hint="Unset one of them.",
                id="tunix_site.E003",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_https_away_from_home(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Say when passwords would cross a network unencrypted."""
    if _loopback_only() or settings.TUNIX_HTTPS:
        return []
    return [
        Warning(
            "The site can be reached from other machines over plain HTTP.",
            hint="Put a proxy with HTTPS in front and set TUNIX_HTTPS=1 (docs/configuration.md).",
            id="tunix_site.W003",
        )
    ]


def _loopback_only() -> bool:
    return set(settings.ALLOWED_HOSTS) <= {*settings.LOOPBACK_HOSTS, "testserver"}
