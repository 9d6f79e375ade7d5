"""What a training child gets to see: its one device, and no secret that it does not need."""

import pytest

from runs.child_environment import NEEDED_SECRETS, PASSED_ON, child_environment
from runs.devices import Device
from runs.tests.support import make_run

pytestmark = pytest.mark.django_db

SECRETS = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_CLIENT_SECRET",
    "GITHUB_TOKEN",
    "HF_TOKEN",
    "WANDB_API_KEY",
    "SSH_AUTH_SOCK",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "DJANGO_SUPERUSER_PASSWORD",
    "DJANGO_SECRET_KEY_FALLBACK",
    "TUNIX_API_TOKEN",
    "TUNIX_SMTP_PASSWORD",
    "JAX_REGISTRY_CREDENTIALS",
    "NCCL_secret",
    "NPM_CONFIG__AUTH",
    "ANYTHING_ELSE",
]


def test_no_secret_reaches_the_child_but_those_that_it_cannot_work_without(monkeypatch):
    for name in [*SECRETS, *NEEDED_SECRETS]:
        monkeypatch.setenv(name, "s3cr3t")
    got = {name for name, value in child_environment(make_run()).items() if value == "s3cr3t"}
    assert got == NEEDED_SECRETS
    assert got >= {"DJANGO_SECRET_KEY", "DATABASE_URL"}


def test_nothing_in_the_list_itself_looks_like_a_secret():
    odd = [
        name for name in PASSED_ON - NEEDED_SECRETS if any(word in name for word in ("KEY", "TOKEN", "PASS"))
    ]
    assert odd == []


def test_settings_and_knobs_of_the_libraries_reach_the_child(monkeypatch):
    knobs = [
        "TUNIX_CPU_SLOTS",
        "DJANGO_DEBUG",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
        "JAX_ENABLE_X64",
        "NCCL_DEBUG",
    ]
    for name in knobs:
        monkeypatch.setenv(name, "0")
    assert set(knobs) <= set(child_environment(make_run()))


@pytest.mark.parametrize("uuid", ["GPU-1234", "MIG-0f1e", "MIG-GPU-1234/1/0"])
def test_a_card_or_an_instance_is_the_only_one_that_the_child_sees(monkeypatch, uuid):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    got = child_environment(make_run(device=Device(kind="gpu", index=1, uuid=uuid)))
    assert (got["CUDA_VISIBLE_DEVICES"], got["CUDA_DEVICE_ORDER"]) == (uuid, "PCI_BUS_ID")


def test_every_cpu_slot_sees_no_card(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    got = child_environment(make_run(device=Device(kind="cpu", index=3)))
    assert (got["CUDA_VISIBLE_DEVICES"], got["JAX_PLATFORMS"]) == ("", "cpu")
