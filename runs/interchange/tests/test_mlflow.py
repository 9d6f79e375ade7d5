"""Stores of MLflow: folders and SQLite databases."""

import os
import sqlite3

import pytest

from runs.interchange.tests.support import mlflow_run, read
from runs.states import Status
from tunix_site.errors import InvalidInputError

LOSS = "1700000000000 0.5 0\n1700000001000 nan 1\n1700000002000 7 0\n"


def test_a_run_is_read_from_its_folders(tmp_path):
    mlflow_run(
        tmp_path / "mlruns", "a" * 32, {"train/loss": LOSS, "big": "1700000000000 -inf 3 data digest\n"}
    )
    ((run, points),) = read(tmp_path / "mlruns")
    assert points == {"train/loss": [(0, 7.0, ""), (1, None, "nan")], "big": [(3, None, "-inf")]}
    assert (run.name, run.identity, run.config, run.tags) == (
        "it's a run",
        "a" * 32,
        {"lr": "0.1"},
        ["team/blue"],
    )
    assert (run.status, run.started_at, run.finished_at) == (Status.COMPLETED, 1.7e9, 1.7e9 + 60)


@pytest.mark.parametrize("where", ["mlruns", "mlruns/1", "mlruns/1/abc"])
def test_a_store_an_experiment_or_a_run_can_be_named(tmp_path, where):
    mlflow_run(tmp_path / "mlruns", "abc", {"x": "1700000000000 1 1\n"})
    assert [run.identity for run, _ in read(tmp_path / where)] == ["abc"]


@pytest.mark.parametrize(
    ("number", "status"),
    [("1", Status.LOST), ("3", Status.COMPLETED), ("4", Status.FAILED), ("5", Status.STOPPED)],
)
def test_each_status_has_its_counterpart(tmp_path, number, status):
    mlflow_run(tmp_path, "abc", {"x": "1700000000000 1 1\n"}, status=number)
    assert read(tmp_path)[0][0].status == status


def test_deleted_runs_and_links_stay_out(tmp_path):
    mlflow_run(tmp_path, "kept", {"x": "1700000000000 1 1\n"})
    mlflow_run(tmp_path, "gone", {"x": "1700000000000 1 1\n"}, lifecycle_stage="deleted")
    (tmp_path / "1" / "kept" / "metrics" / "passwords").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "1" / "kept" / "metrics" / "pipe")
    ((run, points),) = read(tmp_path)
    assert (run.identity, set(points)) == ("kept", {"x"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1700000000000 abc 1", "line 2: step '1' or value 'abc'"),
        ("1700000000000", "line 2: not “timestamp value step”"),
        ("soon 1 1", "line 2: 'soon' is no time"),
        ("1700000000000 1 -5", "line 2: step -5"),
        ("1" * 400 + " 1 1", "is no time"),
    ],
)
def test_lines_that_are_no_points_are_named(tmp_path, line, said):
    mlflow_run(tmp_path, "abc", {"x": f"1700000000000 1 1\n{line}\n"})
    with pytest.raises(InvalidInputError, match="metrics/x") as caught:
        read(tmp_path)
    assert said in caught.value.message


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as rows:
        rows.executescript(
            """
            CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, start_time INTEGER, end_time INTEGER,
                lifecycle_stage TEXT);
            CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER,
                is_nan INTEGER);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            INSERT INTO runs VALUES ('abc', 'a run', 'FAILED', 1700000000000, NULL, 'active');
            INSERT INTO runs VALUES ('gone', 'a run', 'FAILED', 1700000000000, NULL, 'deleted');
            INSERT INTO params VALUES ('lr', '0.1', 'abc');
            INSERT INTO tags VALUES ('mlflow.note.content', 'words', 'abc');
            INSERT INTO metrics VALUES ('x', 9, 1700000002000, 'abc', 1, 0);
            INSERT INTO metrics VALUES ('x', 1, 1700000001000, 'abc', 1, 0);
            INSERT INTO metrics VALUES ('x', 0, 1700000003000, 'abc', 2, 1);
            INSERT INTO metrics VALUES ('x', 1.7976931348623157e308, 1700000004000, 'abc', 3, 0);
            """
        )
    return path


@pytest.mark.parametrize("named", ["file", "folder"])
def test_a_database_is_read_without_a_server(database, named):
    ((run, points),) = read(database if named == "file" else database.parent)
    assert points == {"x": [(1, 9.0, ""), (2, None, "nan"), (3, None, "inf")]}
    assert (run.name, run.identity, run.status) == ("a run", "abc", Status.FAILED)
    assert (run.config, run.notes, run.finished_at) == ({"lr": "0.1"}, "words", 1700000004.0)


def test_another_database_is_refused(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as rows:
        rows.execute("CREATE TABLE runs (x)")
    with pytest.raises(InvalidInputError, match="no table metrics"):
        read(path)
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(InvalidInputError, match="cannot be read as an SQLite database"):
        read(path)


def test_a_database_with_odd_cells_is_refused_with_the_metric(database):
    with sqlite3.connect(database) as rows:
        rows.execute("INSERT INTO metrics VALUES ('y', 'words', 1700000000000, 'abc', 'x', 0)")
    with pytest.raises(InvalidInputError, match="metric y: step 'x' or value 'words'"):
        read(database)
