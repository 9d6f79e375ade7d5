"""The settings as a process reads them: safe with nothing set, strict, clean under HTTPS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SHOW = """
import json, django
from django.conf import settings
django.setup()
print(json.dumps({name: getattr(settings, name) for name in NAMES}, default=str))
"""


def run(arguments: list[str], place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that holds nothing of ours but ``variables``."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "DJANGO_SETTINGS_MODULE": "tunix_site.settings",
        "TUNIX_SECRET_KEY_PATH": str(place / "key"),
        "TUNIX_ARTIFACTS_DIR": str(place / "artifacts"),
        "DATABASE_URL": f"sqlite:///{place}/site.sqlite3",
        **variables,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read(place: Path, *names: str, **variables: str) -> dict[str, object]:
    done = run(["-c", f"NAMES = {names!r}\n{SHOW}"], place, **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_with_nothing_set_the_site_serves_one_person_and_is_safe(tmp_path):
    found = read(
        tmp_path,
        "DEBUG",
        "ALLOWED_HOSTS",
        "SECRET_KEY",
        "SECURE_SSL_REDIRECT",
        "TIME_ZONE",
        "SILENCED_SYSTEM_CHECKS",
    )
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert found["SECRET_KEY"] == (tmp_path / "key").read_text().strip()
    assert found["SECURE_SSL_REDIRECT"] is False
    assert found["TIME_ZONE"] == "UTC"
    assert found["SILENCED_SYSTEM_CHECKS"] == []


def test_the_environment_decides(tmp_path):
    found = read(
        tmp_path,
        "DEBUG",
        "ALLOWED_HOSTS",
        "SECRET_KEY",
        "TIME_ZONE",
        "DATA_UPLOAD_MAX_MEMORY_SIZE",
        DJANGO_DEBUG="yes",
        DJANGO_ALLOWED_HOSTS="a.example.org,b.example.org",
        DJANGO_SECRET_KEY="k" * 60,
        TUNIX_TIME_ZONE="Europe/Berlin",
        TUNIX_MAX_BODY_MB="2",
    )
    assert found == {
        "DEBUG": True,
        "ALLOWED_HOSTS": ["a.example.org", "b.example.org"],
        "SECRET_KEY": "k" * 60,
        "TIME_ZONE": "Europe/Berlin",
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 2 * 1024 * 1024,
    }
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DJANGO_DEBUG", "maybe"),
        ("DJANGO_ALLOWED_HOSTS", "https://example.org"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("TUNIX_HTTPS", "2"),
        ("TUNIX_TIME_ZONE", "Nowhere"),
        ("TUNIX_MAX_BODY_MB", "0"),
        ("Q_CLUSTER_NAME", "typo"),
        ("DJANGO_SECRET_KEY_FILE", "/nowhere/at/all"),
    ],
)
def test_an_unexpected_value_stops_the_start_and_is_named(tmp_path, name, value):
    done = run(["manage.py", "check"], tmp_path, **{name: value})
    assert done.returncode == 1
    (last,) = done.stderr.strip().splitlines()
    assert name in last
    assert "allowed" in last or "must" in last or "give" in last or "cannot be" in last


HTTPS = {
    "DJANGO_ALLOWED_HOSTS": "train.example.org",
    "DJANGO_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "TUNIX_HTTPS": "1",
    "TUNIX_TRUST_PROXY": "1",
}


def test_the_deployment_check_is_clean_under_the_documented_https_settings(tmp_path):
    done = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], tmp_path, **HTTPS)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_deployment_check_hides_nothing_about_plain_http(tmp_path):
    done = run(["manage.py", "check", "--deploy"], tmp_path, DJANGO_ALLOWED_HOSTS="train.example.org")
    assert done.returncode == 0
    for code in ("security.W004", "security.W008", "security.W012", "security.W016", "tunix_site.W003"):
        assert code in done.stderr


def test_models_and_migrations_agree(tmp_path):
    done = run(["manage.py", "makemigrations", "--check", "--dry-run"], tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("cluster", ["runs", "housekeeping"])
def test_both_queues_start_under_their_name(tmp_path, cluster):
    show = "from django_q.conf import Conf; print(Conf.CLUSTER_NAME, Conf.RETRY > Conf.TIMEOUT)"
    code = f"import django; django.setup(); {show}"
    done = run(["-W", "error", "-c", code], tmp_path, Q_CLUSTER_NAME=cluster)
    assert done.stdout.split() == [cluster, "True"], done.stderr
