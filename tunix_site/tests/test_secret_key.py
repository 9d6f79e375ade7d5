"""The generated secret key: made once, for its owner alone, whoever starts first."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured

from tunix_site.secret_key import read_or_make_key


def test_the_key_is_kept_and_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "key"
    key = read_or_make_key(path)
    assert len(key) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_key(path) == key


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: read_or_make_key(tmp_path / "key"), range(64)))
    assert len(keys) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_key_that_others_can_read_stops_the_start(tmp_path):
    path = tmp_path / "key"
    read_or_make_key(path)
    path.chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        read_or_make_key(path)


def test_a_key_that_is_too_short_stops_the_start(tmp_path):
    path = tmp_path / "key"
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(ImproperlyConfigured, match="Delete it"):
        read_or_make_key(path)


def test_a_place_that_cannot_hold_the_key_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ImproperlyConfigured, match="DJANGO_SECRET_KEY"):
        read_or_make_key(tmp_path / "file" / "key")
