"""Facts about a process are gathered without raising, whatever the machine lacks."""

import json
import sys

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from training.device import select_device
from training.provenance import collect, gpu_facts, installed, packages_hash
from training.tests.support import fast_config


def test_every_fact_that_could_tell_two_runs_apart_is_there():
    facts = collect(
        select_device("cpu", physical_index=3, uuid="u"),
        config=fast_config(seed=7),
        dataset_key="chain-v1",
        content_hash="ab",
        argv=["manage.py", "train"],
    )
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert {
        "device", "gpu", "environment", "threads", "cpu_model", "memory_bytes", "hostname", "python",
        "packages", "packages_hash", "git_commit", "git_dirty", "git_diff_hash", "command", "seed",
        "dataset_key", "content_hash", "config", "git_diff", "installed", "jax_flags",
    } <= facts.keys()  # fmt: skip
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (facts["seed"], facts["command"]) == (7, ["manage.py", "train"])
    assert facts["device"]["physical_index"] == 3
    assert facts["device"]["jax_devices"] == ["cpu:0 cpu"]
    assert {"jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"} <= facts["packages"].keys()
    assert {"CUDA_VISIBLE_DEVICES", "XLA_FLAGS"} <= facts["environment"].keys()


def test_the_whole_set_of_packages_is_listed_and_hashed():
    assert installed() == sorted(installed())
    assert any(line.startswith("jax==") for line in installed())
    assert len(packages_hash()) == 64


def test_secrets_on_the_command_line_are_masked():
    facts = collect(
        select_device("cpu"),
        config=fast_config(),
        dataset_key="",
        content_hash="",
        argv=["manage.py", "train", "--name", "postgresql://me:hunter2@db/x"],
    )
    assert "hunter2" not in json.dumps(facts["command"])


def test_a_card_that_nobody_knows_has_no_facts():
    assert gpu_facts("GPU-00000000-0000-0000-0000-000000000000", 0) is None


def test_the_hash_of_the_packages_is_stable():
    assert packages_hash() == packages_hash()
