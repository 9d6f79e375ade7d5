"""What differs between two records of provenance."""

from typing import Any

import pytest

from runs.differences import NOT_INSTALLED, NOT_RECORDED, differences
from training.config import HARMLESS_FIELDS, TrainConfig

RECORD: dict[str, Any] = {
    "device": {"kind": "cpu", "device_kind": "cpu"},
    "environment": {"XLA_FLAGS": None, "CUDA_VISIBLE_DEVICES": ""},
    "threads": 2,
    "python": "3.12.1",
    "packages": {"jax": "0.12.0", "numpy": "2.3"},
    "packages_hash": "a" * 64,
    "git_commit": "b" * 40,
    "git_dirty": False,
    "git_diff_hash": None,
    "content_hash": "c" * 64,
    "hostname": "here",
    "command": ["manage.py", "train"],
    "config": TrainConfig().model_dump(mode="json"),
    "compute_dtype": "float32",
    "attention": {"name": "chunked", "reason": "fast", "fallback": False},
}


def changed(path, value):
    *parents, last = path.split(".")
    record = {**RECORD}
    inner = record
    for name in parents:
        inner[name] = dict(inner[name])
        inner = inner[name]
    inner[last] = value
    return record


def test_equal_records_differ_in_nothing():
    assert differences(RECORD, RECORD) == []


@pytest.mark.parametrize(
    ("path", "value", "category"),
    [
        ("config.learning_rate", 0.5, "recipe"),
        ("compute_dtype", "bfloat16", "recipe"),
        ("attention.name", "dense", "recipe"),
        ("content_hash", "d" * 64, "data"),
        ("git_commit", "e" * 40, "code"),
        ("packages.jax", "0.12.1", "packages"),
        ("python", "3.13.0", "packages"),
        ("threads", 1, "device"),
        ("device.device_kind", "NVIDIA H200", "device"),
        ("environment.XLA_FLAGS", "--xla_cpu_enable_fast_math=true", "environment"),
    ],
)
def test_what_could_change_the_bits_is_named_and_decides(path, value, category):
    (found,) = differences(RECORD, changed(path, value))
    assert (found.name, found.category, found.decides) == (path, category, True)
    assert str(value) in found.after


@pytest.mark.parametrize(
    "path", ["hostname", "packages_hash", *(f"config.{f}" for f in sorted(HARMLESS_FIELDS))]
)
def test_what_cannot_is_named_and_decides_nothing(path):
    (found,) = differences(RECORD, changed(path, "other"))
    assert not found.decides


def test_what_only_explains_is_not_compared():
    assert differences(RECORD, changed("command", ["manage.py", "reproduce"])) == []
    assert differences(RECORD, changed("attention.reason", "forced")) == []


def test_what_an_older_record_does_not_know_decides_nothing():
    older = {name: value for name, value in RECORD.items() if name != "threads"}
    (found,) = differences(older, RECORD)
    assert (found.before, found.after, found.decides) == (NOT_RECORDED, "2", False)


def test_deciding_differences_come_first():
    other = changed("hostname", "there")
    other["threads"] = 8
    assert [found.name for found in differences(RECORD, other)] == ["threads", "hostname"]


def test_one_package_of_the_whole_set_is_named():
    packages = {"packages": {"jax": "0.12.0"}}
    before = {**RECORD, **packages, "installed": ["jax==0.12.0", "ml-dtypes==0.5.1", "rich==14.0"]}
    after = {**RECORD, **packages, "installed": ["jax==0.12.0", "ml-dtypes==0.5.4", "tqdm==4.67"]}
    found = {one.name: (one.before, one.after, one.decides) for one in differences(before, after)}
    assert found == {
        "installed.ml-dtypes": ("0.5.1", "0.5.4", False),
        "installed.rich": ("14.0", NOT_INSTALLED, False),
        "installed.tqdm": (NOT_INSTALLED, "4.67", False),
    }
    assert differences({**RECORD, **packages}, after) == []
