"""What a run takes of its machine: its own card alone, and what cannot be read is missing alone."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from runs.charts.groups import chart_sections
from runs.ingest import ingest_attempt
from runs.metrics.units import UNITS
from runs.system_metrics import GPU_METRICS, SystemSampler
from runs.tests.fake_nvml import GIB, GPU_IS_LOST, NO_LIBRARY, NOT_SUPPORTED, FakeCard
from runs.tests.support import journal, start
from runs.tests.support import make_run as draft

HOST = "system/host_memory"


def test_only_the_runs_own_card_is_measured(driver):
    driver(FakeCard(uuid="GPU-other", used=7 * GIB), FakeCard(uuid="GPU-mine", used=3 * GIB, reasons=0x20))
    found = SystemSampler("gpu", "GPU-mine", os.getpid()).sample()
    assert found.pop(HOST) > 2**20
    assert found == {
        "system/gpu_utilisation": 0.4,
        "system/gpu_memory_used": 3 * GIB,
        "system/gpu_power": 90.5,
        "system/gpu_temperature": 61.0,
        "system/gpu_throttled": 1.0,
    }
    assert all(UNITS[name] for name in [*found, HOST])


def test_an_idle_card_is_not_throttled(driver):
    driver(FakeCard(reasons=0x1))
    assert SystemSampler("gpu", "GPU-a", os.getpid()).sample()["system/gpu_throttled"] == 0.0


def test_an_instance_of_a_divided_card_is_found_by_its_uuid(driver):
    part = FakeCard(uuid="MIG-1", used=GIB, failing={"nvmlDeviceGetPowerUsage": NOT_SUPPORTED})
    driver(FakeCard(mig_mode=1, instances=[part]))
    found = SystemSampler("gpu", "MIG-1", os.getpid()).sample()
    assert found["system/gpu_memory_used"] == GIB
    assert "system/gpu_power" not in found


def test_an_older_package_that_wants_bytes_finds_the_card(driver):
    driver(FakeCard(uuid=b"GPU-a"))
    assert "system/gpu_power" in SystemSampler("gpu", "GPU-a", os.getpid()).sample()


def test_a_run_on_the_cpu_asks_no_driver(driver):
    module = driver(FakeCard())
    assert set(SystemSampler("cpu", "", os.getpid()).sample()) == {HOST}
    assert module.asked == []


def test_a_field_that_fails_is_dropped_alone_and_asked_three_times(driver):
    module = driver(FakeCard(failing={"nvmlDeviceGetTemperature": NOT_SUPPORTED}))
    sampler = SystemSampler("gpu", "GPU-a", os.getpid())
    for _ in range(5):
        assert set(sampler.sample()) == {HOST, *GPU_METRICS} - {"system/gpu_temperature"}
    assert module.asked.count("nvmlDeviceGetTemperature") == 3


def test_a_field_that_answers_again_in_between_stays(driver):
    card = FakeCard()
    driver(card)
    sampler = SystemSampler("gpu", "GPU-a", os.getpid())
    for _ in range(3):
        card.failing = {"nvmlDeviceGetPowerUsage": NOT_SUPPORTED}
        assert "system/gpu_power" not in sampler.sample()
        assert "system/gpu_power" not in sampler.sample()
        card.failing = {}
        assert "system/gpu_power" in sampler.sample()


def test_a_lost_card_leaves_the_memory_of_the_process(driver, caplog):
    card = FakeCard()
    module = driver(card)
    sampler = SystemSampler("gpu", "GPU-a", os.getpid())
    assert len(sampler.sample()) == 6
    card.failing = {"*": GPU_IS_LOST}
    for _ in range(3):
        assert set(sampler.sample()) == {HOST}
    assert caplog.text.count("GPU-a is no longer measured") == 1
    assert module.open == 0


@pytest.mark.parametrize(
    "facts", [{"failing": {"nvmlInit": NO_LIBRARY}}, {"failing": {"*": NOT_SUPPORTED}}, {}]
)
def test_without_a_driver_or_the_card_it_is_tried_three_times(driver, facts):
    module = driver(**facts)
    sampler = SystemSampler("gpu", "GPU-a", os.getpid())
    for _ in range(5):
        assert set(sampler.sample()) == {HOST}
    assert module.asked.count("nvmlInit") == 3


def test_of_a_process_that_is_gone_nothing_is_known():
    process = subprocess.Popen(["true"])
    process.wait()
    assert SystemSampler("cpu", "", process.pid).sample() == {}


def test_it_needs_neither_django_nor_jax():
    code = (
        "import sys\n"
        "from runs.system_metrics import SystemSampler\n"
        "SystemSampler('gpu', 'GPU-x', 1).sample()\n"
        "print([name for name in ('django', 'jax') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.django_db
def test_the_page_draws_what_was_measured_and_no_empty_charts():
    run = draft()
    assert [section.title for section in chart_sections(run)] == []
    attempt = start(run)
    journal(attempt).metrics(1, {HOST: 5.0, "system/gpu_power": 90.0})
    ingest_attempt(attempt)
    device = chart_sections(run)[-1]
    assert device.title == "Device and host"
    assert [(chart.title, chart.names, chart.unit) for chart in device.charts] == [
        ("Host: memory of the process", HOST, "bytes"),
        ("Device: power", "system/gpu_power", "W"),
    ]
