"""Which device a run gets, and what is said where there is none."""

import subprocess
import sys

import pytest
from django.conf import settings

from runs.devices import (
    DeviceUnavailableError,
    cpu,
    gpus,
    host_devices,
    jax_installed,
    probe_jax,
    resolve_device,
)
from runs.inventory import inventory
from runs.jax_probe import PROBE_MAX_AGE_S, cached_probe
from runs.states import Status
from runs.tests.probe_support import ANSWER, keep_answer
from runs.tests.support import packages_without_jax, run_in, with_jax


@pytest.fixture
def without_gpu():
    if gpus():
        pytest.skip("this machine has a GPU")


@with_jax
def test_a_wanted_gpu_that_is_not_there_gives_one_message_with_what_was_found(without_gpu, artifacts_dir):
    keep_answer(artifacts_dir, ANSWER)
    with pytest.raises(DeviceUnavailableError) as refused:
        resolve_device(kind="gpu", index=2)
    assert str(refused.value) == (
        "gpu:2 cannot be used. No NVIDIA driver or GPU was found; JAX 0.12 can use cpu:0 (cpu). "
        "Use --device cpu, or install requirements/gpu.txt and an NVIDIA driver."
    )


@with_jax
def test_an_index_alone_means_a_gpu(without_gpu, artifacts_dir):
    keep_answer(artifacts_dir, ANSWER)
    with pytest.raises(DeviceUnavailableError, match="gpu:0 cannot be used"):
        resolve_device(kind=None, index=0)


@with_jax
def test_without_a_wish_and_without_a_gpu_it_is_the_cpu(without_gpu, artifacts_dir):
    found = resolve_device(kind=None)
    assert (found.kind, found.index, found.key) == ("cpu", 0, "cpu:0")
    assert not (artifacts_dir / "cache" / "devices.json").exists()


@with_jax
def test_the_cpu_is_one_device_unless_it_has_more_slots(settings):
    assert resolve_device(kind="cpu", index=0).kind == "cpu"
    with pytest.raises(DeviceUnavailableError, match=r"There is no cpu:1: .* one CPU slot, cpu:0"):
        resolve_device(kind="cpu", index=1)
    settings.TUNIX_CPU_SLOTS = 3
    assert resolve_device(kind="cpu", index=2).key == "cpu:2"
    assert resolve_device(kind="cpu").key == "cpu:0"
    with pytest.raises(DeviceUnavailableError) as refused:
        resolve_device(kind="cpu", index=3)
    assert str(refused.value) == (
        "There is no cpu:3: this machine has 3 CPU slots, cpu:0 to cpu:2. "
        "TUNIX_CPU_SLOTS sets how many runs may share the CPU, for the site and its worker alike."
    )


def test_a_host_offers_as_many_cpu_slots_as_it_is_told(settings, without_gpu):
    assert [device.key for device in host_devices()] == ["cpu:0"]
    settings.TUNIX_CPU_SLOTS = 2
    assert host_devices() == [cpu(0), cpu(1)]


@with_jax
def test_jax_is_asked_once_and_its_answer_kept_for_a_while(artifacts_dir):
    first = probe_jax()
    assert first["backends"]["cpu"]
    path = artifacts_dir / "cache" / "devices.json"
    written = path.stat().st_mtime_ns
    assert probe_jax() == first
    assert path.stat().st_mtime_ns == written
    keep_answer(artifacts_dir, ANSWER)
    assert probe_jax() == ANSWER
    keep_answer(artifacts_dir, ANSWER, age=PROBE_MAX_AGE_S + 1)
    assert probe_jax() == first
    path.write_text("{torn")
    assert cached_probe(uuids=[]) is None
    assert probe_jax() == first


@with_jax
def test_an_answer_of_other_circumstances_does_not_count(artifacts_dir, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    keep_answer(artifacts_dir, ANSWER)
    assert probe_jax() == ANSWER
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert probe_jax() != ANSWER


@pytest.mark.django_db
def test_the_inventory_names_the_cpu_and_who_holds_it(artifacts_dir):
    keep_answer(artifacts_dir, ANSWER)
    run = run_in(Status.RUNNING)
    [found, *_] = inventory()["devices"]
    assert (found["kind"], found["index"], found["run_id"]) == ("cpu", 0, run.pk)
    assert found["memory_bytes"] > 2**28
    assert found["name"]
    assert found["usable"] == jax_installed()


def test_without_jax_every_way_to_a_device_names_the_install_command(tmp_path):
    """A Python that sees the site's packages but no JAX, as in an environment without the extra."""
    packages = tmp_path / "packages"
    packages.mkdir()
    code = (
        "import django; django.setup()\n"
        "from runs.devices import jax_installed, require_jax, resolve_device\n"
        "from tunix_site.errors import UserError\n"
        "assert not jax_installed()\n"
        "for ask in (require_jax, lambda: resolve_device(kind='cpu'), lambda: resolve_device(kind=None)):\n"
        "    try:\n"
        "        ask()\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=settings.BASE_DIR,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(packages_without_jax(packages)),
            "DJANGO_SETTINGS_MODULE": "tunix_site.settings",
            "DJANGO_SECRET_KEY": "k" * 60,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert "JAX is not installed" in line
        assert "requirements/cpu.txt" in line
