"""What is known of devices: rows that follow the machine, and why a device takes no run."""

import datetime as dt
import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.inventory import inventory, refresh_inventory
from runs.models import DeviceLease, HostDevice
from runs.processes import hostname
from runs.states import Status
from runs.tests.fake_nvml import FOREIGN, GIB, GPU_IS_LOST, NO_LIBRARY, NOT_SUPPORTED, FakeCard, FakeNvml
from runs.tests.probe_support import ANSWER, keep_answer
from runs.tests.support import run_in

pytestmark = pytest.mark.django_db

NOON = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


def rows() -> dict[str, HostDevice]:
    return {row.key: row for row in HostDevice.objects.filter(host=hostname())}


def test_a_look_writes_what_is_there(driver, settings):
    settings.TUNIX_CPU_SLOTS = 2
    driver(FakeCard(uuid="GPU-a", compute=[(FOREIGN, GIB)]))
    found = refresh_inventory(now=NOON)
    assert [(row.label, row.key) for row in found] == [
        ("cpu:0", "cpu:0"),
        ("cpu:1", "cpu:1"),
        ("gpu:0", "GPU-a"),
    ]
    slot, _, card = found
    assert (slot.memory_bytes or 0) > (slot.free_bytes or 0) > 2**20
    assert (card.host, card.name, card.driver, card.mig) == (hostname(), "NVIDIA Test 12GB", "570.1", "")
    assert (card.memory_bytes, card.free_bytes) == (12 * GIB, 10 * GIB)
    assert (card.utilisation, card.temperature) == (0.4, 61.0)
    assert card.processes == [
        {"pid": FOREIGN, "name": f"tool-{FOREIGN}", "memory_bytes": GIB, "run_id": None}
    ]
    assert (card.usable, card.trouble, card.seen_at) == (True, "", NOON)


def test_another_look_follows_what_changed_in_the_same_rows(driver):
    card = FakeCard()
    driver(card)
    before = {row.key: row.pk for row in refresh_inventory(now=NOON)}
    card.used, card.failing = 5 * GIB, {"nvmlDeviceGetTemperature": NOT_SUPPORTED}
    later = NOON + dt.timedelta(seconds=5)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = refresh_inventory(now=later)
    assert {row.key: row.pk for row in found} == before
    assert (found[1].free_bytes, found[1].temperature, found[1].seen_at) == (7 * GIB, None, later)
    [update] = [
        one["sql"] for one in asked if one["sql"].startswith("UPDATE") and "temperature" in one["sql"]
    ]
    assert '"driver"' not in update


def test_the_instances_of_a_divided_card_are_rows_of_their_own(driver):
    parts: list[FakeCard | None] = [FakeCard(uuid=f"MIG-{n}", name="NVIDIA H100 MIG 1g.10gb") for n in (1, 2)]
    driver(FakeCard(mig_mode=1, instances=parts))
    refresh_inventory()
    assert {key: (row.label, row.mig) for key, row in rows().items() if row.kind == "gpu"} == {
        "MIG-1": ("gpu:0", "1g.10gb of card 0"),
        "MIG-2": ("gpu:1", "1g.10gb of card 0"),
    }


def test_a_device_that_vanished_is_a_reason_for_a_day_and_then_forgotten(driver):
    card, stays = FakeCard(uuid="GPU-a", compute=[(FOREIGN, GIB)]), FakeCard(uuid="GPU-b")
    driver(card, stays)
    refresh_inventory(now=NOON + dt.timedelta(minutes=62))
    card.failing = {"*": GPU_IS_LOST}
    for minutes in (63, 64):
        refresh_inventory(now=NOON + dt.timedelta(minutes=minutes))
    gone = rows()["GPU-a"]
    assert (gone.usable, gone.trouble) == (False, "not found since 13:02 UTC")
    assert (gone.free_bytes, gone.processes, gone.memory_bytes) == (None, [], 12 * GIB)
    assert rows()["GPU-b"].usable
    refresh_inventory(now=NOON + dt.timedelta(days=1, minutes=61))
    assert "GPU-a" in rows()
    refresh_inventory(now=NOON + dt.timedelta(days=1, minutes=63))
    assert "GPU-a" not in rows()


def test_a_device_that_came_back_is_usable_again(driver):
    card = FakeCard()
    module = driver(card)
    refresh_inventory(now=NOON)
    module.failing = {"nvmlInit": NO_LIBRARY}
    refresh_inventory(now=NOON + dt.timedelta(minutes=1))
    assert not rows()["GPU-a"].usable
    module.failing = {}
    refresh_inventory(now=NOON + dt.timedelta(minutes=2))
    assert (rows()["GPU-a"].usable, rows()["GPU-a"].trouble) == (True, "")


def test_rows_of_other_hosts_are_left_alone_until_nothing_was_heard_for_a_day(driver):
    driver()
    HostDevice.objects.create(host="far", key="cpu:0", kind="cpu", seen_at=NOON)
    refresh_inventory(now=NOON + dt.timedelta(hours=23))
    far = HostDevice.objects.get(host="far")
    assert (far.usable, far.trouble, far.seen_at) == (True, "", NOON)
    refresh_inventory(now=NOON + dt.timedelta(hours=25))
    assert not HostDevice.objects.filter(host="far").exists()


def test_fewer_cpu_slots_than_before_are_a_reason_too(driver, settings):
    driver()
    settings.TUNIX_CPU_SLOTS = 2
    refresh_inventory(now=NOON)
    settings.TUNIX_CPU_SLOTS = 1
    refresh_inventory(now=NOON + dt.timedelta(minutes=1))
    assert rows()["cpu:1"].trouble == "not found since 12:00 UTC"


def trouble() -> str:
    refresh_inventory()
    return rows()["GPU-a"].trouble


def test_jax_is_never_started_and_its_last_answer_counts(driver, artifacts_dir):
    driver(FakeCard())
    assert trouble() == ""
    assert not (artifacts_dir / "cache").exists()
    keep_answer(artifacts_dir, ANSWER, age=7 * 86_400)
    assert trouble() == "JAX cannot use it: no driver"
    assert not rows()["GPU-a"].usable
    assert rows()["cpu:0"].usable
    keep_answer(artifacts_dir, {**ANSWER, "backends": {"gpu": [{"id": 0, "kind": "x"}]}})
    assert trouble() == ""
    assert rows()["GPU-a"].usable
    (artifacts_dir / "cache" / "devices.json").write_text('{"key": 1, "at": "x"')
    assert trouble() == ""


def test_a_refresh_needs_only_the_database(driver, monkeypatch):
    module = driver(FakeCard())
    for function in [name for name in dir(FakeNvml) if name.startswith("nvml")]:
        for code in (NOT_SUPPORTED, GPU_IS_LOST):
            module.failing = {function: code}
            assert refresh_inventory()[0].key == "cpu:0"


def test_the_inventory_is_live_for_this_host_and_remembered_for_others(driver, artifacts_dir):
    driver(FakeCard(compute=[(FOREIGN, GIB)]))
    keep_answer(artifacts_dir, ANSWER)
    HostDevice.objects.create(
        host="far", key="GPU-far", kind="gpu", index=2, name="far card", seen_at=NOON, trouble="is full"
    )
    HostDevice.objects.create(host=hostname(), key="GPU-gone", kind="gpu", index=1, seen_at=NOON)
    run = run_in(Status.STARTING)
    DeviceLease.objects.filter(run=run).update(host="far", device="GPU-far")
    found = inventory()
    assert [device["key"] for device in found["devices"]] == ["cpu:0", "GPU-a", "GPU-gone"]
    cpu, card, gone = found["devices"]
    assert (cpu["uuid"], card["uuid"], card["free_bytes"], card["run_id"]) == ("", "GPU-a", 10 * GIB, None)
    assert card["processes"][0]["pid"] == FOREIGN
    assert (gone["usable"], gone["trouble"]) == (False, "not found since 12:00 UTC")
    [far] = found["other_hosts"]
    assert (far["host"], far["key"], far["run_id"], far["trouble"]) == ("far", "GPU-far", run.pk, "is full")
    assert set(far) == set(card)
    assert not HostDevice.objects.filter(host=hostname(), key="GPU-a").exists()


def test_the_command_shows_who_uses_a_card(driver, artifacts_dir):
    driver(FakeCard(used=12 * GIB, compute=[(FOREIGN, 11 * GIB)]))
    keep_answer(artifacts_dir, {**ANSWER, "backends": {"cpu": [], "gpu": [{"id": 0, "kind": "x"}]}})
    HostDevice.objects.create(host="far", key="cpu:0", kind="cpu", name="far processor", seen_at=NOON)
    out = StringIO()
    call_command("devices", stdout=out)
    shown = out.getvalue()
    assert "gpu:0  NVIDIA Test 12GB  12.0 GiB, 0.0 free" in shown
    assert f"takes no run: is full: 12.0 of 12.0 GiB used by tool-{FOREIGN} (pid {FOREIGN})" in shown
    assert f"11.0 GiB  tool-{FOREIGN} (pid {FOREIGN})  not of a run" in shown
    assert "far cpu:0  far processor" in shown
    assert "seen 2026-03-04T12:00 UTC" in shown
    out = StringIO()
    call_command("devices", "--json", stdout=out)
    assert json.loads(out.getvalue())["other_hosts"][0]["host"] == "far"


def test_the_api_gives_the_same_facts(driver, artifacts_dir, client, make_user):
    driver(FakeCard(compute=[(FOREIGN, GIB)]))
    keep_answer(artifacts_dir, ANSWER)
    client.force_login(make_user("ann", "viewer"))
    said = client.get("/api/devices").json()
    assert said["devices"][1]["processes"] == [
        {"pid": FOREIGN, "name": f"tool-{FOREIGN}", "memory_bytes": GIB, "run_id": None}
    ]
    assert said["other_hosts"] == []
