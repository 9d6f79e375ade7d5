"""Offline files of W&B: history, config, tags, how a run ended, and damage."""

import pytest

from runs.interchange.tests.support import (
    NOW,
    read,
    wandb_exit,
    wandb_file,
    wandb_history,
    wandb_item,
    wandb_run,
)
from runs.interchange.wire import bytes_field
from runs.states import Status
from tunix_site.errors import InvalidInputError


def test_a_run_is_read_with_its_history_config_and_end(tmp_path):
    values = {
        "_timestamp": NOW + 1,
        "_step": 0,
        "loss": 0.5,
        "eval": {"acc": 1},
        "picture": {"_type": "image"},
    }
    path = wandb_file(
        tmp_path / "run-abc123.wandb",
        wandb_run(lr={"value": 1}, opt="adam", _wandb={"x": 1}),
        wandb_history(0, values),
        wandb_history(1, {"loss": float("nan"), "big": "Infinity", "word": "x"}),
        bytes_field(7, b""),
        bytes_field(5, wandb_item("late", 3)),
        wandb_exit(0),
    )
    ((run, points),) = read(path)
    assert points == {
        "loss": [(0, 0.5, ""), (1, None, "nan")],
        "eval.acc": [(0, 1.0, "")],
        "big": [(1, None, "inf")],
    }
    assert (run.name, run.host, run.notes, run.tags) == ("dry-sea-7", "host", "a note", ["base line"])
    assert run.config == {"lr.value": 1, "opt": "adam", "late": 3}
    assert (run.status, run.started_at, run.finished_at) == (Status.COMPLETED, NOW + 0.5, NOW + 1)
    assert any("2 values that are no numbers" in notice for notice in run.notices)


@pytest.mark.parametrize(
    ("records", "status"),
    [((wandb_exit(3),), Status.FAILED), ((), Status.LOST), ((wandb_exit(0),), Status.COMPLETED)],
)
def test_how_it_ended_is_what_its_exit_says(tmp_path, records, status):
    path = wandb_file(tmp_path / "run-x.wandb", wandb_run(), wandb_history(1, {"a": 1}), *records)
    assert read(path)[0][0].status == status


def test_every_file_of_a_folder_is_a_run(tmp_path):
    for uid in ("one", "two"):
        wandb_file(
            tmp_path / "wandb" / f"offline-run-{uid}" / f"run-{uid}.wandb",
            wandb_run(uid, uid),
            wandb_history(1, {"a": 1}),
        )
    assert [run.name for run, _ in read(tmp_path, name="w")] == ["w/one", "w/two"]


def test_a_history_of_nested_keys_joins_them(tmp_path):
    record = bytes_field(2, wandb_item("", 2.5, "eval", "acc") + wandb_item("_step", 7))
    ((_, points),) = read(wandb_file(tmp_path / "run-x.wandb", wandb_run(), record))
    assert points == {"eval.acc": [(7, 2.5, "")]}


def test_a_long_config_crosses_blocks(tmp_path):
    path = wandb_file(tmp_path / "r.wandb", wandb_run(long="x" * 100_000), wandb_history(1, {"a": 1}))
    ((run, points),) = read(path)
    assert points == {"a": [(1, 1.0, "")]}
    assert len(run.config["long"]) == 2000
    assert any("cut off" in notice for notice in run.notices)


def test_a_torn_tail_and_a_flipped_bit(tmp_path):
    path = wandb_file(
        tmp_path / "r.wandb",
        wandb_run(),
        wandb_history(1, {"a": 1}),
        wandb_history(2, {"a": 222}),
        wandb_exit(0),
    )
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    ((run, points),) = read(path)
    assert [step for step, *_ in points["a"]] == [1, 2]
    assert (run.status, "no whole record" in run.notices[0]) == (Status.LOST, True)
    path.write_bytes(whole.replace(b"222", b"223"))
    with pytest.raises(InvalidInputError, match=r"r.wandb, byte \d+: the checksum"):
        read(path)
    ((run, points),) = read(path, keep_going=True)
    assert [step for step, *_ in points["a"]] == [1]
    assert run.status == Status.COMPLETED


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (bytes_field(2, bytes_field(1, bytes_field(1, "a") + bytes_field(16, "{"))), "'a' is no JSON"),
        (
            bytes_field(2, bytes_field(1, bytes_field(1, "a") + bytes_field(16, "[" * 99_999))),
            "'a' is no JSON",
        ),
        (bytes_field(2, wandb_item("a", 1)), "a history without a step"),
        (wandb_history(-4, {"a": 1}), "step -4"),
        (wandb_history(1, {"a": 10**400}), "too large"),
        (wandb_history(1, {"a": 1, "_timestamp": 1e300}), "no time"),
        (b"\x12\xff\x01", "claims"),
    ],
)
def test_records_that_cannot_be_stored_are_named(tmp_path, record, said):
    path = wandb_file(tmp_path / "r.wandb", wandb_run(), wandb_history(0, {"a": 1}), record)
    with pytest.raises(InvalidInputError, match=r"byte \d+") as caught:
        read(path)
    assert said in caught.value.message
    assert read(path, keep_going=True)[0][1]["a"] == [(0, 1.0, "")]


def test_what_is_no_file_of_wandb_is_refused(tmp_path):
    path = tmp_path / "x.wandb"
    path.write_bytes(b"something else")
    with pytest.raises(InvalidInputError, match="byte 0"):
        read(path)
    with pytest.raises(InvalidInputError, match="does not say which run"):
        read(wandb_file(path, wandb_history(1, {"a": 1})))
