"""What the fault trials share: a watch on trainers, signals to whole families, servers of their own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from runs.models import Attempt, DeviceLease, MetricPoint, Run
from runs.processes import is_alive
from runs.states import SUPERVISED
from runs.tests.support import fresh, start_manage, wait_until
from runs.tests.training_support import assert_whole_history

# Long enough that a fault finds it at work; a step of this model takes a few milliseconds.
STEPS = 2000
ENDLESS = 1_000_000
RECIPE = (
    "--dataset=golden-v2",
    "--device=cpu",
    "--model=nano",
    "--set=batch_size=4",
    "--set=warmup_steps=10",
    "--set=eval_every_steps=0",
    "--set=final_eval_limit=4",
    "--set=max_new_tokens=24",
)


class TrainerWatch(threading.Thread):
    """Looks all the time which training processes of this database there are, by the system's word."""

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True, name="trainer-watch")
        self._url = f"DATABASE_URL={database_url}".encode()
        self._over = threading.Event()
        self.most_at_once = 0
        self.seen: set[int] = set()

    def run(self) -> None:
        while not self._over.wait(0.05):
            found = {pid for pid in self._pids() if self._is_ours(pid)}
            self.seen |= found
            self.most_at_once = max(self.most_at_once, len(found))

    def close(self) -> None:
        self._over.set()
        self.join(10)

    def _pids(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    # A trainer leads a session; what it forks looks like it until it is another program.
                    leads = (entry / "stat").read_text().rpartition(")")[2].split()[3] == entry.name
                    if leads and b"execute_run" in (entry / "cmdline").read_bytes():
                        yield int(entry.name)

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return self._url in (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
        return False


def queue_training(*flags: str, steps: int = STEPS) -> Run:
    """Put a training into the queue, as a person does who then goes away."""
    started = start_manage("train", *RECIPE, f"--steps={steps}", *flags, "--detach", "--json")
    out, err = started.communicate(timeout=60)
    assert started.returncode == 0, err
    return Run.objects.get(pk=json.loads(out.strip().splitlines()[-1])["run_id"])


def family(pid: int) -> set[int]:
    """A process and all that came from it, by the parents that the system knows."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def at_work(run: Run, *, step: int = 20) -> Attempt:
    """Wait until a run's journal, not only its row, has come to a step; give its attempt."""
    wait_until(lambda: fresh(run).status in SUPERVISED, what=f"the start of {run}")
    wait_until(lambda: journal_step(run) >= step or fresh(run).is_ended, what=f"step {step} of {run}")
    assert not run.is_ended, f"{run} is {run.status} already: {run.reason}"
    return Attempt.objects.get(run=run, number=run.attempt)


def journal_step(run: Run, *, attempt: int | None = None) -> int:
    """The newest step in an attempt's journal, read without the database."""
    path = run.attempt_directory(attempt or run.attempt) / "metrics.jsonl"
    with contextlib.suppress(OSError):
        # A checkpoint's line alone may take some thousand bytes.
        data = path.read_bytes()[-100_000:].split(b"\n")
        for line in reversed(data[1:-1]):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("k") == "metrics" and not event.get("beside"):
                    return int(event["s"])
    return 0


def ended(run: Run, *, seconds: float = 120) -> Run:
    deadline = time.monotonic() + seconds
    while not fresh(run).is_ended:
        facts = f"{run} is {run.status}, attempt {run.attempt}, step {run.step}: {run.reason}"
        assert time.monotonic() < deadline, facts
        time.sleep(0.1)
    return run


def assert_sound(run: Run, watch: TrainerWatch, *, steps: int = STEPS) -> None:
    """Every step stands once, nothing is at work any more, and never were there two trainers."""
    assert_whole_history(run, steps)
    points = MetricPoint.objects.filter(run=run, name="train/loss", superseded=False)
    assert points.values("step").distinct().count() == points.count() == steps
    assert not DeviceLease.objects.filter(run=run).exists()
    assert not Attempt.objects.filter(run=run, finished_at=None).exists()
    assert watch.most_at_once == 1
    # One that told its end itself needs a moment more to leave.
    wait_until(
        lambda: not any(_works(one) for one in Attempt.objects.filter(run=run)), what="the processes' end"
    )


def _works(attempt: Attempt) -> bool:
    return is_alive(attempt.child_pid, attempt.child_started)


def kill_all(pids: set[int], number: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def postgres_bin() -> Path:
    """The newest PostgreSQL server of this machine, or a skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[4])
    if not found:
        pytest.skip("no PostgreSQL server is installed here")
    return found[-1].parent


class OwnPostgres:
    """A PostgreSQL server that a test may stop and start.

    As root it runs as another user, to whom pytest closes its folders: ``folder`` lies beside them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._bin = folder, postgres_bin()
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if self._as:
            subprocess.run(["chown", "postgres", str(folder)], check=True)
        how = ("-U", "tunix", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._run("initdb", "-D", str(folder / "data"), *how)
        self.start()
        self.psql("CREATE DATABASE trial", database="postgres")
        self.url = f"postgresql://tunix@127.0.0.1:{self.port}/trial"

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._bin / program), *words]
        # The server inherits no pipe of ours, or reading it would wait for the server's end.
        with (self.folder / "tools.log").open("ab") as said:
            done = subprocess.run(command, cwd="/", stdout=said, stderr=said, check=False)
        assert done.returncode == 0, (self.folder / "tools.log").read_text()

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self._control("-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), *words)

    def psql(self, statement: str, *, database: str = "trial") -> None:
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "tunix", "-d", database)
        self._run("psql", *where, "-c", statement)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as session:
            return session.execute(statement.encode()).fetchall()


def tell(fault: str, **figures: Any) -> None:
    """Append what a trial saw to the file that TUNIX_TEST_FIGURES names, for docs/reliability.md."""
    path = os.environ.get("TUNIX_TEST_FIGURES")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"fault": fault, "database": connection.vendor, **figures}) + "\n")


class Stopwatch:
    """Seconds since it was made, to a tenth."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)


def rest(seconds: float) -> None:
    """Let a fault last; what is waited for is the time itself."""
    connection.close()
    time.sleep(seconds)
