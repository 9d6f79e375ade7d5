"""How many points a second come from a journal into a database, parsing and checking included.

    python -m benchmarks.feeder_bench [--points N] [--dir D]

Writes a journal with the recorder that a run has, five values a step, and feeds it into a throw-away
SQLite file, and into a database of its own on the PostgreSQL server that ``TUNIX_TEST_POSTGRES_URL`` (or
``DATABASE_URL``) names. Each part runs in a process of its own; one JSON object is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
VALUES = {
    "train/loss": 1.2345678,
    "train/grad_norm": 0.87654321,
    "train/learning_rate": 0.00030012,
    "train/step_time": 0.06123,
    "train/tokens_per_second": 33445.5,
}
DATABASE = "tunix_feeder_bench"


def main() -> None:
    """Measure both databases and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--dir", type=Path, default=None, help="where the files are written")
    parser.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.feed:
        print(json.dumps(feed(given.points)))
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        result["sqlite"] = in_process(f"sqlite:///{folder}/bench.sqlite3", Path(folder), given.points)
        server = os.environ.get("TUNIX_TEST_POSTGRES_URL") or os.environ.get("DATABASE_URL", "")
        if server.startswith("postgres"):
            result["postgresql"] = on_postgresql(server, Path(folder), given.points)
    result["load_average"] = [round(load, 2) for load in os.getloadavg()]
    print(json.dumps(result, indent=2))


def on_postgresql(server: str, folder: Path, points: int) -> dict[str, Any]:
    """Feed into a database that is made for it and dropped again."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        try:
            url = urlsplit(server)._replace(path=f"/{DATABASE}").geturl()
            return in_process(url, folder, points)
        finally:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def in_process(url: str, folder: Path, points: int) -> dict[str, Any]:
    """Feed in a process with this database and files of its own."""
    files = folder / f"artifacts-{urlsplit(url).scheme}"
    environment = {**os.environ, "DATABASE_URL": url, "TUNIX_ARTIFACTS_DIR": str(files)}
    command = [sys.executable, "-m", "benchmarks.feeder_bench", "--feed", "--points", str(points)]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def feed(points: int) -> dict[str, Any]:
    """Write a journal, feed it, count what the database holds, and feed it once more."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from runs.ingest import ingest_attempt, journal_path
    from runs.journal import JournalRecorder, read_events
    from runs.models import Attempt, MetricPoint, Run

    call_command("migrate", verbosity=0)
    run = Run.objects.create(config={}, device_kind="cpu", attempt=1)
    attempt = Attempt.objects.create(run=run, number=1, host="bench", device="cpu")
    recorder = JournalRecorder(journal_path(attempt), stop_asked=lambda: False)
    for step in range(points // len(VALUES)):
        recorder.metrics(step, {name: value + step * 1e-9 for name, value in VALUES.items()})
    began = time.perf_counter()
    for _ in read_events(journal_path(attempt), 0, limit_bytes=1 << 62):
        pass
    reading = time.perf_counter() - began
    began, busy = time.perf_counter(), time.process_time()
    ingest_attempt(attempt)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    stored = MetricPoint.objects.count()
    Attempt.objects.update(journal_offset=0)
    began = time.perf_counter()
    ingest_attempt(Attempt.objects.get())
    again = time.perf_counter() - began
    return {
        "points": stored,
        "points_after_feeding_twice": MetricPoint.objects.count(),
        "journal_mib": round(journal_path(attempt).stat().st_size / 2**20, 1),
        "seconds": round(seconds, 2),
        "points_per_second": round(stored / seconds),
        "points_per_second_the_second_time": round(stored / again),
        "points_per_second_parsed_and_checked": round(stored / reading),
        "cpu_seconds_of_the_feeder": round(busy, 2),
    }


if __name__ == "__main__":
    main()
