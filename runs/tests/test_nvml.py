"""What is read of NVIDIA cards, whatever of it a driver does not tell."""

import dataclasses
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runs import nvml
from runs.devices import numbered
from runs.nvml import CardProcess, read_cards, usable_cards
from runs.tests.fake_nvml import (
    FOREIGN,
    GIB,
    GPU_IS_LOST,
    NO_LIBRARY,
    NOT_SUPPORTED,
    UNINITIALIZED,
    FakeCard,
    FakeNvml,
)


def test_everything_a_card_tells_is_read_in_plain_units(driver):
    module = driver(FakeCard(reasons=0x1 | 0x4 | 0x40, compute=[(os.getpid(), GIB), (FOREIGN, None)]))
    [card] = read_cards()
    assert card == nvml.Card(
        index=0,
        uuid="GPU-a",
        name="NVIDIA Test 12GB",
        driver="570.1",
        mig="",
        memory_total=12 * GIB,
        memory_used=2 * GIB,
        memory_free=10 * GIB,
        utilisation=0.4,
        temperature=61.0,
        power=90.5,
        power_limit=115.0,
        slowdowns=("power limit", "heat (hardware)"),
        processes=(
            CardProcess(os.getpid(), Path(f"/proc/{os.getpid()}/comm").read_text().strip(), GIB),
            CardProcess(FOREIGN, f"tool-{FOREIGN}", None),
        ),
        mig_enabled=False,
    )
    assert module.open == 0


FIELDS: dict[str, dict[str, Any]] = {
    "nvmlSystemGetDriverVersion": {"driver": ""},
    "nvmlDeviceGetUUID": {"uuid": ""},
    "nvmlDeviceGetName": {"name": ""},
    "nvmlDeviceGetMemoryInfo": {"memory_total": None, "memory_used": None, "memory_free": None},
    "nvmlDeviceGetUtilizationRates": {"utilisation": None},
    "nvmlDeviceGetTemperature": {"temperature": None},
    "nvmlDeviceGetPowerUsage": {"power": None},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit": None},
    "nvmlDeviceGetMigMode": {"mig_enabled": None},
    # The other of two ways to the same fact answers.
    "nvmlDeviceGetCurrentClocksEventReasons": {},
    "nvmlDeviceGetCurrentClocksThrottleReasons": {},
    "nvmlDeviceGetComputeRunningProcesses": {},
    "nvmlDeviceGetGraphicsRunningProcesses": {},
}


@pytest.mark.parametrize("function", FIELDS)
def test_what_a_driver_does_not_tell_is_missing_alone(driver, function):
    driver(FakeCard())
    [whole] = read_cards()
    driver(FakeCard(), failing={function: NOT_SUPPORTED})
    assert read_cards() == [dataclasses.replace(whole, **FIELDS[function])]


@pytest.mark.parametrize(
    ("functions", "field"),
    [
        (["CurrentClocksEventReasons", "CurrentClocksThrottleReasons"], "slowdowns"),
        (["ComputeRunningProcesses", "GraphicsRunningProcesses"], "processes"),
    ],
)
def test_a_fact_with_two_ways_to_it_is_missing_when_both_fail(driver, functions, field):
    driver(FakeCard(failing={f"nvmlDeviceGet{name}": NOT_SUPPORTED for name in functions}))
    [card] = read_cards()
    assert getattr(card, field) is None


def test_an_older_package_that_lacks_a_function_answers_the_rest(driver, monkeypatch):
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetCurrentClocksEventReasons")
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetMigMode")
    driver(FakeCard(reasons=0x20))
    [card] = read_cards()
    assert (card.slowdowns, card.mig_enabled) == (("heat (driver)",), None)


def test_texts_that_come_as_bytes_are_texts_all_the_same(driver):
    driver(FakeCard(uuid=b"GPU-b", name=b"Tesla \xff"), driver=b"390.1")
    [card] = read_cards()
    assert (card.uuid, card.name, card.driver) == ("GPU-b", "Tesla �", "390.1")


def test_a_process_that_computes_and_draws_counts_once(driver):
    driver(FakeCard(compute=[(FOREIGN, 3 * GIB)], graphics=[(FOREIGN, None), (FOREIGN + 1, 2**64 - 1)]))
    [card] = read_cards()
    assert card.processes is not None
    assert [(one.pid, one.memory_bytes) for one in card.processes] == [
        (FOREIGN, 3 * GIB),
        (FOREIGN + 1, None),
    ]


@pytest.mark.parametrize("code", [NO_LIBRARY, NOT_SUPPORTED])
def test_without_a_driver_there_are_no_cards(driver, code):
    driver(FakeCard(), failing={"nvmlInit": code})
    assert read_cards() == []


def test_without_the_package_there_are_no_cards(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_cards() == []


def test_a_card_that_answers_nothing_is_left_out_and_named_once(driver, caplog):
    driver(FakeCard(failing={"*": NOT_SUPPORTED}), FakeCard(uuid="GPU-b"))
    for _ in range(3):
        assert [(card.index, card.uuid) for card in read_cards()] == [(1, "GPU-b")]
    assert [record.getMessage() for record in caplog.records] == [
        "gpu:0 is left out: the driver says nothing of it"
    ]


@pytest.mark.parametrize("function", ["nvmlDeviceGetUUID", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetMigMode"])
def test_a_card_that_vanishes_while_it_is_asked_leaves_the_others(driver, caplog, function):
    module = driver(FakeCard(failing={function: GPU_IS_LOST}), FakeCard(uuid="GPU-b"))
    assert [card.uuid for card in read_cards()] == ["GPU-b"]
    assert "gpu:0 is left out, it went away" in caplog.text
    assert module.open == 0


def test_a_driver_that_is_unloaded_meanwhile_leaves_no_cards(driver, caplog):
    driver(FakeCard(), failing={"nvmlDeviceGetCount": UNINITIALIZED})
    assert read_cards() == []
    assert "the NVIDIA driver does not answer" in caplog.text


def divided(*parts: FakeCard | None, **facts) -> FakeCard:
    return FakeCard(mig_mode=1, instances=list(parts), **facts)


def test_of_a_divided_card_its_instances_are_the_devices(driver):
    unsaid = {"nvmlDeviceGetUtilizationRates": NOT_SUPPORTED, "nvmlDeviceGetPowerUsage": NOT_SUPPORTED}
    size = SimpleNamespace(gpuInstanceSliceCount=2, memorySizeMB=9984)
    driver(
        divided(
            FakeCard(uuid="MIG-1", name="NVIDIA H100 MIG 1g.10gb", total=10 * GIB, failing=unsaid),
            None,
            FakeCard(uuid="MIG-2", name="NVIDIA H100", attributes=size),
            FakeCard(uuid="MIG-3", name="NVIDIA H100"),
            name="NVIDIA H100",
        ),
        FakeCard(uuid="GPU-b"),
    )
    cards = read_cards()
    assert [card.mig_enabled for card in cards] == [True, False]
    assert [(card.uuid, card.index, card.name, card.mig) for card in usable_cards(cards)] == [
        ("MIG-1", 0, "NVIDIA H100 MIG 1g.10gb", "1g.10gb"),
        ("MIG-2", 0, "NVIDIA H100 MIG 2g.10gb", "2g.10gb"),
        ("MIG-3", 0, "NVIDIA H100 MIG instance 3", "instance 3"),
        ("GPU-b", 1, "NVIDIA Test 12GB", ""),
    ]
    first = cards[0].instances[0]
    assert (first.memory_total, first.utilisation, first.power) == (10 * GIB, None, None)
    # Every device has a number of its own, and a whole card keeps the driver's.
    assert [(device.index, device.key) for device, _ in numbered(cards)] == [
        (0, "MIG-1"),
        (1, "GPU-b"),
        (2, "MIG-2"),
        (3, "MIG-3"),
    ]


def test_an_instance_that_cannot_be_named_to_a_program_is_no_device(driver):
    driver(divided(FakeCard(failing={"nvmlDeviceGetUUID": NOT_SUPPORTED}), FakeCard(uuid="MIG-2")))
    assert [card.uuid for card in usable_cards(read_cards())] == ["MIG-2"]


def test_a_card_in_mig_mode_without_instances_gives_no_device_and_says_so(driver, caplog):
    driver(divided())
    assert usable_cards(read_cards()) == []
    assert "gpu:0 NVIDIA Test 12GB GPU-a is in MIG mode without an instance" in caplog.text
