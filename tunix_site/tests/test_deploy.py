"""The systemd units of docs/deploy.md fit the times and the order that the code needs."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from django.conf import settings

from runs.clusters import DEVICE_LEAVE_S, HOUSEKEEPING_LEAVE_S
from runs.management.commands.drain import Command as Drain
from runs.worker import LEAVE_S

MANUAL = Path(settings.BASE_DIR) / "docs" / "deploy.md"
Unit = dict[str, list[str]]


def units() -> dict[str, Unit]:
    """The units of the manual by name, each as its settings; a name may come several times."""
    found: dict[str, Unit] = {}
    pattern = r"`/etc/systemd/system/([\w-]+\.service)`[^`]*```ini\n(.*?)```"
    for name, text in re.findall(pattern, MANUAL.read_text(), re.DOTALL):
        unit: Unit = defaultdict(list)
        for line in text.splitlines():
            if "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                unit[key].append(value)
        found[name] = unit
    return found


@pytest.fixture(scope="module")
def all_units() -> dict[str, Unit]:
    return units()


def test_the_manual_has_the_three_units(all_units):
    assert set(all_units) == {"tunix-site.service", "tunix-worker.service", "tunix-drain.service"}


def test_a_restart_of_the_worker_leaves_its_trainings_at_work(all_units):
    worker = all_units["tunix-worker.service"]
    # Any other mode ends every process of the unit, trainings included, at the latest after the time-out.
    assert worker["KillMode"] == ["process"]
    assert worker["OOMPolicy"] == ["continue"]
    assert int(worker["TimeoutStopSec"][0]) > DEVICE_LEAVE_S + HOUSEKEEPING_LEAVE_S


def test_a_drained_worker_is_not_started_again(all_units):
    assert all_units["tunix-worker.service"]["Restart"] == ["on-failure"]


def test_a_shutdown_drains_before_it_ends_worker_and_database(all_units):
    drain = all_units["tunix-drain.service"]
    # Units are stopped in the reverse of the order in which they are started.
    assert {"tunix-worker.service", "postgresql.service"} <= set(drain["After"][0].split())
    assert (drain["Type"], drain["RemainAfterExit"]) == (["oneshot"], ["yes"])
    [command] = drain["ExecStop"]
    waits = int(command.partition("--timeout ")[2])
    assert settings.TUNIX_STOP_GRACE_SECONDS + LEAVE_S < waits < int(drain["TimeoutStopSec"][0])


def test_the_commands_of_the_units_are_there(all_units):
    for unit in all_units.values():
        for line in [*unit["ExecStart"], *unit["ExecStop"]]:
            words = line.split()
            if "manage.py" in words:
                name = words[words.index("manage.py") + 1]
                folders = Path(settings.BASE_DIR).glob("*/management/commands")
                assert any((folder / f"{name}.py").exists() for folder in folders), name
    assert Drain.help
