"""Measure the site over HTTP with ten thousand runs and series of a million points, against its aims.

    python -m benchmarks.web_bench [--runs N] [--points N] [--long-series N] [--dir D] [--databases NAME…]

For SQLite, and for PostgreSQL where ``TUNIX_TEST_POSTGRES_URL`` names a server, it makes a throw-away
database, feeds a journal into it, seeds it, serves it with gunicorn as `make serve` does, asks, and trains a
small model while it watches how late the points arrive. One JSON object is printed, with each aim and
whether it was met.
"""

import argparse
import json
import os
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.web_data import LONG_NAME, seed
from benchmarks.web_http import Visitor, cpu_seconds, timed
from benchmarks.web_lag import watch

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "tunix_web_bench"
BUCKETS = 1000
# Facts of a database, what they must be below (or, for throughput, above), and in words.
AIMS = {
    "feeder_points_per_second": (20_000, "feeding a journal with rollups kept, points/s, at least"),
    "chart_p95_ms": (50, "1,000 buckets of a series of 1 M points, p95 ms, below"),
    "overlay_p95_ms": (500, "20 such series in one answer, p95 ms, below"),
    "list_p95_ms": (150, "page of the run list, p95 ms, below"),
    "list_queries": (6, "its queries, at most"),
    "list_bytes": (200_000, "its size, bytes, below"),
    "idle_poll_bytes": (300, "answer to a poll without news, bytes, below"),
    "lag_p95_s": (2, "from the journal's line to the answer over HTTP, p95 s, at most"),
}


def main() -> None:
    """Measure each database and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--long-series", type=int, default=20)
    parser.add_argument("--feed-points", type=int, default=500_000)
    parser.add_argument("--dir", type=Path, default=None, help="where the files are written")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=None)
    parser.add_argument("--part", choices=("feed", "seed", "queries"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(_part(given)))
        return
    server = os.environ.get("TUNIX_TEST_POSTGRES_URL", "")
    wanted = given.databases or ["sqlite", *(["postgresql"] if server else [])]
    result: dict[str, Any] = {
        "versions": _versions(),
        "cpus": os.cpu_count(),
        "given": {name: getattr(given, name) for name in ("runs", "points", "long_series", "feed_points")},
    }
    for name in wanted:
        with (
            tempfile.TemporaryDirectory(dir=given.dir) as folder,
            _database(name, server, Path(folder)) as url,
        ):
            result[name] = _measure(url, Path(folder), given)
    result["aims"] = {name: [_judged(fact, result[name]["facts"]) for fact in AIMS] for name in wanted}
    print(json.dumps(result, indent=1))


def _judged(fact: str, facts: dict[str, Any]) -> dict[str, Any]:
    aim, words = AIMS[fact]
    found = facts[fact]
    met = (
        None
        if found is None
        else found >= aim
        if "at least" in words
        else (found <= aim if "at most" in words else found < aim)
    )
    return {"what": words, "aim": aim, "found": found, "met": met}


def _versions() -> dict[str, str]:
    import sqlite3

    import django

    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "sqlite": sqlite3.sqlite_version,
    }


@contextmanager
def _database(name: str, server: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder}/web.sqlite3"
        return
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield urlsplit(server)._replace(path=f"/{DATABASE}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def _measure(url: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "TUNIX_ARTIFACTS_DIR": str(folder / "artifacts"),
        "TUNIX_SECRET_KEY_PATH": str(folder / "secret-key"),
        "TUNIX_LOG_LEVEL": "ERROR",
    }
    found: dict[str, Any] = {"load_before": _load()}
    print(f"{url.partition(':')[0]}: feeding, seeding, asking …", file=sys.stderr)
    found["feeder"] = _in_process("feed", environment, given)
    began = time.perf_counter()
    seeded = _in_process("seed", environment, given)
    found["seeding_seconds"] = round(time.perf_counter() - began, 1)
    found["list_queries"] = _in_process("queries", environment, given)
    with _site(environment, folder) as (port, server):
        found |= _asked(port, partial(cpu_seconds, server), seeded, given)
        found["lag"] = watch(port, seeded, environment)
    found["load_after"] = _load()
    lag = found["lag"]
    found["facts"] = {
        "feeder_points_per_second": found["feeder"]["points_per_second"],
        "chart_p95_ms": found["chart"]["p95_ms"],
        "overlay_p95_ms": found["overlay"]["p95_ms"],
        "list_p95_ms": found["list"]["p95_ms"],
        "list_queries": found["list_queries"]["queries"],
        "list_bytes": found["list"]["largest_bytes"],
        "idle_poll_bytes": found["idle_poll"]["largest_bytes"],
        "lag_p95_s": lag.get("p95_s"),
    }
    return found


def _load() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]


def _in_process(part: str, environment: dict[str, str], given: argparse.Namespace) -> dict[str, Any]:
    numbers = ("runs", "points", "long_series", "feed_points")
    flags = [text for name in numbers for text in (f"--{name.replace('_', '-')}", str(getattr(given, name)))]
    command = [sys.executable, "-m", "benchmarks.web_bench", "--part", part, *flags]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _part(given: argparse.Namespace) -> dict[str, Any]:
    if given.part == "feed":
        from benchmarks.feeder_bench import feed

        return feed(given.feed_points)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    import django

    django.setup()
    if given.part == "seed":
        return seed(given.runs, given.long_series, given.points)
    return _list_queries()


def _list_queries() -> dict[str, Any]:
    """Count the queries of the run list's page, those that find out who asks among them."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="bench"))
    client.get("/runs/")
    with CaptureQueriesContext(connection) as queries:
        answer = client.get("/runs/")
    return {"status": answer.status_code, "queries": len(queries)}


@contextmanager
def _site(environment: dict[str, str], folder: Path) -> Iterator[tuple[int, int]]:
    """Serve the site as `make serve` does."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        "gunicorn.conf.py",
        "tunix_site.wsgi:application",
    ]
    with (folder / "gunicorn.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env={**environment, "PORT": str(port)}, stdout=log, stderr=log
        )
        try:
            _wait_for(port)
            yield port, server.pid
        finally:
            server.terminate()
            server.wait(60)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            Visitor(port, {}).get("/api/health")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _asked(
    port: int, cpu: Callable[[], float], seeded: dict[str, Any], given: argparse.Namespace
) -> dict[str, Any]:
    runs, rng = seeded["runs"], random.Random(0)  # noqa: S311  which ranges are asked for
    api = Visitor(port, {"Authorization": f"Bearer {seeded['token']}"})
    browser = Visitor(port, {"Cookie": seeded["cookie"]})
    asks = f"metrics?names={LONG_NAME}&max_points={BUCKETS}"
    charts = [f"/api/training/runs/{run}/{asks}" for run in runs]
    answer = json.loads(api.get(charts[0]))
    [series] = answer["series"]
    spikes = sum(1 for value in series["max"] if value == 99.0)
    zooms = []
    for _ in range(100):
        width = int(given.points ** rng.uniform(0.4, 1))
        first = rng.randrange(max(1, given.points - width))
        zooms.append(f"{rng.choice(charts)}&from_step={first}&to_step={first + width}")
    overlay = f"/api/training/{asks}&ids={','.join(map(str, runs))}"
    lists = ["/runs/", "/runs/?page=2", "/runs/?page=150", "/runs/?status=completed", "/runs/?kind=train"]
    for path in (*charts, *lists, overlay):
        (browser if path.startswith("/runs/") else api).get(path)
    return {
        "chart_shows": {
            "total_points": series["total_points"],
            "shown": series["shown"],
            "buckets_with_spikes": spikes,
        },
        "chart": timed(api.get, (charts * 200)[:200], cpu=cpu),
        "zoom": timed(api.get, zooms, cpu=cpu),
        "overlay": timed(api.get, [overlay] * 40, cpu=cpu),
        "list": timed(browser.get, lists * 20, cpu=cpu),
        "list_api": timed(api.get, ["/api/training/runs?limit=50"] * 50, cpu=cpu),
        "idle_poll": timed(api.get, [f"{charts[0]}&after={answer['cursor']}"] * 100, cpu=cpu),
        "export": _exported(api, runs[0], given.points),
    }


def _exported(api: Visitor, run: int, points: int) -> dict[str, Any]:
    began = time.perf_counter()
    body = api.get(f"/api/training/runs/{run}/metrics?format=csv")
    seconds = time.perf_counter() - began
    return {"rows": body.count(b"\n") - 1, "bytes": len(body), "points_per_second": round(points / seconds)}


if __name__ == "__main__":
    main()
