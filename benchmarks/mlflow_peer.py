"""Log a series in batches and read it back, beside MLflow's tracking server, in one run, in turn.

    python -m benchmarks.mlflow_peer --mlflow DIR/bin/python [--points N] [--reads N] [--output FILE]

``--mlflow`` is the interpreter of an environment of its own: ``python3.12 -m venv DIR``, then
``DIR/bin/pip install mlflow``. Both work on SQLite files that are made for it, each served by a server
with one worker process. MLflow is given batches of 1,000 over HTTP, the most it takes, by its own
client; the site's way is a run's journal, written by its recorder and fed into the database with
rollups. Then one series is read over HTTP as for a chart of 1,000 points: MLflow's ``get-history-bulk-
interval``, which its own page asks, and the site's ``metrics``.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.web_http import Visitor, cpu_seconds, timed

ROOT = Path(__file__).resolve().parent.parent
SHOWN, BATCH, SPIKE = 1000, 1000, 99.0
PARTS = 5
# Runs under MLflow's interpreter: logs steps first..last, prints the run's id and the seconds.
LOG_TO_MLFLOW = """
import json, sys, time
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
address, run, first, last, batch, spike = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]), int(sys.argv[6])
client = MlflowClient(address)
run = run or client.create_run("0").info.run_id
began = time.perf_counter()
for start in range(first, last, batch):
    steps = range(start, min(start + batch, last))
    client.log_batch(run, metrics=[
        Metric("train/loss", 99.0 if step == spike else 1 / (1 + step / 1e4), 1800000000000 + step, step)
        for step in steps])
print(json.dumps({"run": run, "seconds": time.perf_counter() - began}))
"""


def main() -> None:
    """Log in turn, a part each, then read in turn; print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mlflow", type=Path, required=True, help="interpreter that has mlflow")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--reads", type=int, default=10)
    parser.add_argument("--output", type=Path, default=None)
    parser.add_argument("--feed", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.feed:
        print(json.dumps(_feed(*given.feed, spike=given.points * 7 // 10)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = _contest(Path(folder), given)
    text = json.dumps(result, indent=1)
    print(text)
    if given.output is not None:
        given.output.write_text(text + "\n", "utf-8")


def _contest(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder}/site.sqlite3",
        "TUNIX_ARTIFACTS_DIR": str(folder / "artifacts"),
        "TUNIX_SECRET_KEY_PATH": str(folder / "secret-key"),
        "TUNIX_LOG_LEVEL": "ERROR",
        "GUNICORN_WORKERS": "1",
    }
    result: dict[str, Any] = {
        "points": given.points,
        "batch": BATCH,
        "cpus": os.cpu_count(),
        "mlflow_version": _output([given.mlflow, "-c", "import mlflow; print(mlflow.__version__)"]),
        "python": sys.version.split()[0],
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }
    spike = given.points * 7 // 10
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
    with _mlflow(folder, given.mlflow) as (their_port, their_pid), _site(folder, environment) as (port, pid):
        seconds = {"mlflow": 0.0, "this_site": 0.0}
        run = ""
        bounds = [given.points * part // PARTS for part in range(PARTS + 1)]
        for first, last in zip(bounds, bounds[1:], strict=False):
            address = f"http://127.0.0.1:{their_port}"
            words = [address, run, *map(str, (first, last, BATCH, spike))]
            done = json.loads(_output([given.mlflow, "-c", LOG_TO_MLFLOW, *words]))
            run, seconds["mlflow"] = done["run"], seconds["mlflow"] + done["seconds"]
            flags = ["--mlflow", str(given.mlflow), "--points", str(given.points)]
            feed = [sys.executable, "-m", "benchmarks.mlflow_peer", *flags, "--feed", str(first), str(last)]
            ours = json.loads(_output(feed, environment))
            seconds["this_site"] += ours["seconds"]
        query = urllib.parse.urlencode({"run_ids": run, "metric_key": "train/loss", "max_results": SHOWN})
        theirs = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}"
        mine = f"/api/training/runs/{ours['run']}/metrics?names=train/loss&max_points={SHOWN}"
        visitors = {
            "mlflow": (Visitor(their_port, {}).get, theirs, their_pid),
            "this_site": (Visitor(port, {"Authorization": f"Bearer {ours['token']}"}).get, mine, pid),
        }
        shown = json.loads(visitors["this_site"][0](mine))["series"][0]
        metrics = json.loads(visitors["mlflow"][0](theirs))["metrics"]
        reads: dict[str, list[dict[str, Any]]] = {name: [] for name in visitors}
        for _ in range(given.reads):
            for name, (get, path, server) in visitors.items():
                reads[name].append(timed(get, [path], cpu=lambda server=server: cpu_seconds(server)))
    for name, took in seconds.items():
        times = sorted(one["p50_ms"] for one in reads[name])
        result[name] = {
            "logging_seconds": round(took, 1),
            "points_per_second": round(given.points / took),
            "reading_median_ms": times[len(times) // 2],
            "reading_max_ms": times[-1],
            "answer_bytes": reads[name][0]["largest_bytes"],
        }
    result["mlflow"] |= {
        "shown": len(metrics),
        "spike_seen": any(float(one["value"]) == SPIKE for one in metrics),
    }
    result["this_site"] |= {"shown": shown["shown"], "spike_seen": max(shown["max"]) == SPIKE}
    result["load_after"] = [round(load, 2) for load in os.getloadavg()]
    return result


def _feed(first: int, last: int, *, spike: int) -> dict[str, Any]:
    """Write a part of the series into a run's journal and feed it into the database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    import django

    django.setup()
    from django.contrib.auth.models import User

    from runs.ingest import ingest_attempt, journal_path
    from runs.journal import JournalRecorder
    from runs.models import Attempt, Run
    from tunix_site.services import issue_token

    user, new = User.objects.get_or_create(username="bench", defaults={"is_superuser": True})
    run = Run.objects.create(config={}, device_kind="cpu", attempt=1) if new else Run.objects.get()
    attempt, _ = Attempt.objects.get_or_create(run=run, number=1, host="bench", device="cpu")
    began = time.perf_counter()
    recorder = JournalRecorder(journal_path(attempt), stop_asked=lambda: False)
    for step in range(first, last):
        recorder.metrics(step, {"train/loss": SPIKE if step == spike else 1 / (1 + step / 1e4)})
    recorder.flush(60)
    stored = ingest_attempt(attempt)
    seconds = time.perf_counter() - began
    token = issue_token(user=user, scope="read").token
    return {"run": run.pk, "seconds": seconds, "stored": stored, "token": token}


def _output(words: list[Any], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def _mlflow(folder: Path, python: Path) -> Iterator[tuple[int, int]]:
    port = _free_port()
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.sqlite3",
        "--artifacts-destination",
        folder / "m",
    ]
    words = [python, "-m", "mlflow", "server", *store, "--port", port, "--workers", 1]
    with _served(words, folder / "mlflow.log", port, "/health", None) as pid:
        yield port, pid


@contextmanager
def _site(folder: Path, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    port = _free_port()
    words = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "tunix_site.wsgi:application"]
    with _served(words, folder / "site.log", port, "/api/health", {**environment, "PORT": str(port)}) as pid:
        yield port, pid


@contextmanager
def _served(
    words: list[Any], log: Path, port: int, health: str, environment: dict[str, str] | None
) -> Iterator[int]:
    with log.open("wb") as file:
        server = subprocess.Popen(
            [str(w) for w in words], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
    deadline = time.monotonic() + 180
    try:
        while True:
            try:
                Visitor(port, {}).get(health)
                break
            except (OSError, RuntimeError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        yield server.pid
    finally:
        server.terminate()
        server.wait(60)


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
