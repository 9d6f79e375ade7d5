"""The demo: what it takes up again, what it refuses, and the whole of it."""

import json
import re
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from datasets_app.services import seed_dataset
from runs import demo
from runs.devices import Device
from runs.tests.support import make_dataset, make_run, manage, with_jax
from training.config import TrainConfig
from tunix_site.errors import ConflictError


def test_a_taken_port_is_refused_and_without_one_the_next_free_one_serves():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"Port {port} is taken"):
            demo.find_port(port)
        assert demo.find_port(None) in range(demo.FIRST_PORT, demo.FIRST_PORT + demo.PORTS_TRIED)
    with pytest.raises(ConflictError, match="Port 70000 is taken"):
        demo.find_port(70000)


@pytest.mark.django_db
def test_only_a_run_of_the_same_recipe_is_taken_up_again():
    dataset = make_dataset()
    config, cpu = TrainConfig(steps=7), Device(kind="cpu")
    facts: dict[str, Any] = {"name": "demo", "dataset": dataset, "config": config, "device": cpu}
    assert demo.reusable_run(**facts) is None
    run = make_run(name="demo", dataset=dataset, config=config.model_dump(), device=cpu)
    assert demo.reusable_run(**facts) == run
    assert demo.reusable_run(**{**facts, "config": TrainConfig(steps=8)}) is None
    assert demo.reusable_run(**{**facts, "name": "other"}) is None
    assert demo.reusable_run(**{**facts, "device": Device(kind="gpu")}) is None


@pytest.mark.django_db(transaction=True)
def test_no_held_out_prompt_of_the_demo_stands_in_its_training_split():
    dataset = seed_dataset(key="chain-v1", count=None).dataset
    assert demo.prompt_overlap(dataset) == 0
    assert dataset.test_count >= 500


@with_jax
def test_the_demo_makes_its_tables_first_and_then_refuses_a_taken_port(tmp_path, monkeypatch):
    database = tmp_path / "fresh.sqlite3"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{database}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = manage("demo", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "is taken. Choose another one: make demo PORT=" in ended.stderr
    assert "Traceback" not in ended.stderr
    with sqlite3.connect(database) as tables:
        assert tables.execute("SELECT count(*) FROM runs_run").fetchone() == (0,)


@pytest.mark.long
@pytest.mark.jax
def test_the_demo_learns_to_reason_and_a_second_one_reuses_it(tmp_path, artifacts_dir, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'demo.sqlite3'}")
    first = manage("demo", "--no-serve", "--device", "cpu", "--json", timeout=900)
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    assert said["answer_accuracy"] >= 0.97
    assert said["n"] >= 500
    assert said["prompt_overlap"] == 0
    login = re.search(r"Sign in as  demo  with the password  (\S+)", first.stderr)
    assert login
    assert (Path(artifacts_dir) / "checkpoints" / str(said["run_id"]) / str(TrainConfig().steps)).is_dir()
    second = manage("demo", "--no-serve", "--device", "cpu", "--json", timeout=120)
    assert json.loads(second.stdout) == said
    assert second.stderr.count("did this already") == 2
