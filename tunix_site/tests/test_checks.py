"""The system checks: what would fail later is said at the start."""

from pathlib import Path

import pytest

from tunix_site import checks


def codes(found):
    return [message.id for message in found]


def test_an_artifacts_directory_that_can_be_made_is_fine(settings, tmp_path):
    settings.TUNIX_ARTIFACTS_DIR = tmp_path / "a" / "b"
    assert checks.check_artifacts_dir(None) == []
    assert not settings.TUNIX_ARTIFACTS_DIR.exists()


def test_an_artifacts_directory_that_is_a_file_is_an_error(settings, tmp_path):
    settings.TUNIX_ARTIFACTS_DIR = tmp_path / "file"
    settings.TUNIX_ARTIFACTS_DIR.write_text("")
    assert codes(checks.check_artifacts_dir(None)) == ["tunix_site.E001"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/data/db.sqlite3", "nfs4"),
        ("/srv/db.sqlite3", "ext4"),
        ("/srv/data2/x", "ext4"),
        ("/srv/my disk/x", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_longest_mount_point(path, kind):
    mounts = "\n".join(
        [
            "/dev/sda1 / ext4 rw 0 0",
            "host:/export /srv/data nfs4 rw 0 0",
            r"//host/share /srv/my\040disk cifs rw 0 0",
        ]
    )
    assert checks.file_system_of(Path(path), mounts) == kind


def test_a_secret_file_that_everybody_can_read_is_named(monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text("x")
    monkeypatch.setenv("DJANGO_SECRET_KEY_FILE", str(file))
    file.chmod(0o604)
    assert codes(checks.check_secret_files(None)) == ["tunix_site.W002"]
    file.chmod(0o600)
    assert checks.check_secret_files(None) == []


def test_debugging_pages_stay_on_this_machine(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["train.example.org"]
    assert codes(checks.check_debug_stays_home(None)) == ["tunix_site.E003"]
    settings.ALLOWED_HOSTS = ["localhost"]
    assert checks.check_debug_stays_home(None) == []
