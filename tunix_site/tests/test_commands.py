"""What all our commands share."""

import os
import subprocess
import sys

import pytest

from datasets_app.services import seed_dataset
from tunix_site import settings as site


def run_unread(*arguments: str) -> tuple[int, str]:
    """Run a command whose output nobody reads; gives its exit code and what it complained about."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=site.BASE_DIR,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.django_db(transaction=True)
def test_a_command_whose_reader_goes_away_ends_quietly(process_database):
    seed_dataset(key="golden-v2", count=200)
    # The first fails in the middle of its writing, the second when the little that it wrote goes out.
    assert run_unread("export_dataset", "golden-v2") == (141, "")
    assert run_unread("seed_dataset", "--list") == (141, "")


def test_a_command_checks_its_places_and_does_not_read_every_address_of_the_site(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "seed_dataset", "--list"],
        cwd=site.BASE_DIR,
        env={**os.environ, "TUNIX_ARTIFACTS_DIR": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "tunix_site.E001" in done.stderr
    assert "tunix_site.commands" in done.stderr
    assert "tunix_site.urls" not in done.stderr
