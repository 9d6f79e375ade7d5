"""Faults below the processes: a database that stops, is locked or read-only, a disk that is full.

The training is not blocked meanwhile, and afterwards each of its points stands once in the database.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from runs import services
from runs.models import Run
from runs.states import SUPERVISED, Status
from runs.tests.fault_support import (
    ENDLESS,
    RECIPE,
    OwnPostgres,
    Stopwatch,
    TrainerWatch,
    assert_sound,
    at_work,
    ended,
    family,
    journal_step,
    kill_all,
    queue_training,
    rest,
    tell,
)
from runs.tests.support import end_session, fresh, manage, manage_json, start_manage, wait_until

pytestmark = pytest.mark.jax
pytest.importorskip("jax")


class OwnSite:
    """A site with a worker on a server of its own, seen through its commands and plain SQL."""

    def __init__(self, server: OwnPostgres, watch: TrainerWatch) -> None:
        self.server, self._watch = server, watch
        done = manage("migrate", "--verbosity=0")
        assert done.returncode == 0, done.stderr
        manage_json("seed_dataset", "--dataset=golden-v2", "--count=40")
        self.worker = start_manage("worker", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.run_id = manage_json("train", *RECIPE, f"--steps={ENDLESS}", "--detach")["run_id"]
        # Only what needs no database: where its journal lies.
        self.run = Run(pk=self.run_id, attempt=1)
        wait_until(lambda: journal_step(self.run) > 20, what="step 20 of the training")

    def row(self, columns: str) -> tuple[Any, ...]:
        return self.server.ask(f"SELECT {columns} FROM runs_run WHERE id = {self.run_id}")[0]

    def trainers(self) -> set[int]:
        return self._watch.seen

    def reached(self, step: int) -> None:
        wait_until(lambda: self.row("step")[0] >= step, what=f"step {step} in the database")

    def stop(self) -> None:
        code = (
            "import django; django.setup(); from runs import services, selectors;"
            f"services.request_stop(selectors.get_run(run_id={self.run_id}))"
        )
        subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, check=True, timeout=60)

    def assert_sound(self) -> None:
        wait_until(lambda: self.row("status")[0] == "stopped", what="the stop", seconds=90)
        [step] = self.row("step")
        points = self.server.ask(
            "SELECT count(*), count(DISTINCT step), max(step) FROM runs_metricpoint"
            f" WHERE run_id = {self.run_id} AND name = 'train/loss' AND NOT superseded"
        )
        assert points == [(step, step, step)]
        said = [row[0] for row in self.server.ask("SELECT action FROM tunix_site_auditevent ORDER BY id")]
        assert not {"run.lost", "run.failed"} & set(said)
        assert self.server.ask("SELECT count(*) FROM runs_attempt") == [(1,)]
        assert self.server.ask("SELECT count(*) FROM runs_devicelease") == [(0,)]


@pytest.fixture
def own_site(artifacts_dir: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch):
    folder = Path(tempfile.mkdtemp(prefix="tunix-postgres-"))
    server = OwnPostgres(folder)
    monkeypatch.setenv("DATABASE_URL", server.url)
    monkeypatch.setenv("DJANGO_SECRET_KEY", settings.SECRET_KEY)
    artifacts_dir.mkdir()
    (artifacts_dir / "cache").symlink_to(compiled)
    watch = TrainerWatch(server.url)
    watch.start()
    site = OwnSite(server, watch)
    yield site
    watch.close()
    kill_all(watch.seen | family(site.worker.pid))
    end_session(site.worker)
    with contextlib.suppress(AssertionError):
        server.stop()
    shutil.rmtree(folder)
    assert watch.most_at_once == 1


def test_a_server_that_stops_in_mid_run_blocks_no_step_and_loses_no_point(own_site):
    own_site.server.stop()
    before = journal_step(own_site.run)
    rest(8)
    gained = journal_step(own_site.run) - before
    assert gained > 20
    own_site.server.start()
    own_site.reached(before + gained)
    own_site.stop()
    own_site.assert_sound()


@pytest.mark.long
def test_a_server_that_is_away_for_a_minute_blocks_no_step_and_loses_no_point(own_site):
    own_site.server.stop()
    before = journal_step(own_site.run)
    halves: list[int] = []
    for _ in range(2):
        rest(30)
        halves.append(journal_step(own_site.run) - before - sum(halves))
    own_site.server.start()
    assert min(halves) > 50
    back = Stopwatch()
    own_site.reached(before + sum(halves))
    tell("PostgreSQL stopped for 60 s", steps_meanwhile=sum(halves), all_stored_s=back.seconds)
    own_site.stop()
    own_site.assert_sound()


@pytest.mark.long
def test_a_database_that_is_read_only_blocks_no_step_and_loses_no_point(own_site):
    def set_read_only(how: str) -> None:
        change = f"ALTER DATABASE trial SET default_transaction_read_only = {how}"
        own_site.server.psql(change, database="postgres")
        # What is connected already keeps what it was told before.
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'trial'"
        own_site.server.psql(end, database="postgres")

    set_read_only("on")
    before, stored = journal_step(own_site.run), own_site.row("step")[0]
    rest(20)
    gained = journal_step(own_site.run) - before
    assert gained > 50
    assert own_site.row("step")[0] <= stored + 50
    set_read_only("off")
    back = Stopwatch()
    own_site.reached(before + gained)
    tell("PostgreSQL read-only for 20 s", steps_meanwhile=gained, all_stored_s=back.seconds)
    own_site.stop()
    own_site.assert_sound()


@pytest.mark.long
@pytest.mark.skipif(connection.vendor != "sqlite", reason="holds SQLite's own lock")
def test_a_writer_that_holds_sqlite_for_30_seconds_blocks_no_step(dataset, start_worker, process_database):
    watch = TrainerWatch(process_database)
    watch.start()
    start_worker()
    run = queue_training(steps=ENDLESS)
    at_work(run)
    connection.close()
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); input(); c.execute('ROLLBACK')"
    )
    path = process_database.removeprefix("sqlite:///")
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    before = journal_step(run)
    rest(32)
    gained = journal_step(run) - before
    holder.communicate("\n")
    assert gained > 100
    back = Stopwatch()
    wait_until(lambda: fresh(run).step >= before + gained, what="what was fed afterwards")
    tell("SQLite locked for 32 s", steps_meanwhile=gained, all_stored_s=back.seconds)
    assert run.status in SUPERVISED
    services.request_stop(run)
    connection.close()
    ended(run)
    watch.close()
    assert run.status == Status.STOPPED
    assert_sound(run, watch, steps=run.step)


@pytest.mark.long
def test_a_full_disk_of_the_journal_blocks_no_step_and_loses_no_point(
    artifacts_dir, dataset, start_worker, process_database
):
    folder = artifacts_dir / "runs"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("file systems can't be mounted here")
    watch = TrainerWatch(process_database)
    watch.start()
    try:
        start_worker()
        run = queue_training("--save-every-steps=50", steps=ENDLESS)
        at_work(run)
        _fill(folder / "filler")
        full_at = fresh(run).step
        stored = journal_step(run)
        wait_until(lambda: _newest_checkpoint(run) > full_at + 200, what="200 steps on a full disk")
        assert journal_step(run) <= stored + 200
        gained = _newest_checkpoint(run) - full_at
        (folder / "filler").unlink()
        room = Stopwatch()
        wait_until(lambda: journal_step(run) > full_at + 200, what="the journal of those steps")
        tell("the journal's disk full", steps_meanwhile=gained, all_written_s=room.seconds)
        services.request_stop(fresh(run))
        connection.close()
        ended(run)
        watch.close()
        assert run.status == Status.STOPPED
        assert_sound(run, watch, steps=run.step)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def _newest_checkpoint(run: Run) -> int:
    folder = Path(run.checkpoint_dir)
    return max((int(one.name) for one in folder.iterdir() if one.name.isdecimal()), default=0)


@pytest.mark.long
def test_an_unfed_journal_is_taken_in_on_another_machine(own_site, tmp_path, monkeypatch):
    before = journal_step(own_site.run)
    own_site.server.stop()
    wait_until(lambda: journal_step(own_site.run) > before + 50, what="steps that are fed to nobody")
    # The machine dies: everything on it, its database for good.
    kill_all(family(own_site.worker.pid))
    kill_all(own_site.trainers())
    step = journal_step(own_site.run)
    folder = own_site.run.attempt_directory(1)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'other.sqlite3'}")
    monkeypatch.setenv("TUNIX_ARTIFACTS_DIR", str(tmp_path / "other"))
    assert manage("migrate", "--verbosity=0").returncode == 0
    said = manage_json("import_journal", str(folder))
    assert said["status"] == "lost"
    again = manage_json("import_journal", str(folder))
    assert again["stored"] == 0
    code = (
        "import django, json; django.setup(); from runs.models import MetricPoint;"
        "rows = MetricPoint.objects.filter(name='train/loss').values_list('step', flat=True);"
        "print(json.dumps(sorted(rows)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, check=True
    )
    steps = json.loads(shown.stdout)
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= step
    tell("a journal imported on another machine", points=len(steps))
