"""How long it takes from a stop on the page to `stopped`, by what the training was doing.

    python -m benchmarks.stop_bench [--rounds N] [--dir D]

A site of its own (SQLite, a worker) trains the demo's model on chain-v1, and each round stops one
training while it compiles, trains, evaluates or saves. The stop goes through the same service as the
button. One JSON object is printed: seconds by phase, and whether a checkpoint of the last step is there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PHASES = ("compiling", "training", "evaluating", "saving")
PATIENCE_S = 180.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None, help="where the files are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/bench.sqlite3"
        os.environ["TUNIX_ARTIFACTS_DIR"] = f"{folder}/artifacts"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tunix_site.settings"
        manage("migrate", "--verbosity=0")
        manage("seed_dataset", "--dataset=chain-v1", "--count=5000")
        command = [sys.executable, "manage.py", "worker"]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as worker:
            try:
                print(json.dumps(measure(given.rounds), indent=2))
            finally:
                worker.terminate()


def manage(*words: str) -> str:
    """Run ``manage.py`` to its end; give what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def measure(rounds: int) -> dict[str, Any]:
    """Stop one training a phase and round, in turn, so that all phases see the same machine."""
    import django

    django.setup()
    wait(lambda: __import__("runs.selectors", fromlist=["live_workers"]).live_workers().exists())
    found: dict[str, list[dict[str, Any]]] = {phase: [] for phase in PHASES}
    for _ in range(rounds):
        for phase in PHASES:
            found[phase].append(stop_in(phase))
    return {
        "rounds": rounds,
        "phases": {phase: summary(rows) for phase, rows in found.items()},
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def stop_in(phase: str) -> dict[str, Any]:
    """Start a training, stop it in a phase, and time its way to `stopped`."""
    from runs import services
    from runs.models import Run

    # A large evaluation early on, and checkpoints one after another, so that each phase can be met.
    flags = ["--set=eval_every_steps=20", "--set=eval_limit=400"] if phase == "evaluating" else []
    flags += ["--save-every-steps=1"] if phase == "saving" else ["--save-every-steps=0"]
    out = manage("train", "--dataset=chain-v1", "--device=cpu", "--detach", "--json", *flags)
    run = Run.objects.get(pk=json.loads(out.splitlines()[-1])["run_id"])
    journal = run.directory / "attempt-1" / "metrics.jsonl"
    wait(lambda: newest_phase(journal) == phase)
    # Into the phase, not at its very edge.
    time.sleep(0.3)
    began = time.monotonic()
    services.request_stop(run)
    wait(lambda: Run.objects.filter(pk=run.pk, status="stopped").exists())
    seconds = time.monotonic() - began
    run.refresh_from_db()
    saved = run.checkpoints.filter(step=run.step).exists() if run.step else None
    return {"seconds": seconds, "step": run.step, "saved": saved, "reason": run.reason}


def newest_phase(journal: Path) -> str:
    """Give the phase that a journal names last; saving counts where a checkpoint came last."""
    try:
        lines = journal.read_bytes().splitlines()[-40:]
    except OSError:
        return ""
    newest = ""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("k") == "phase":
            newest = event["name"]
        elif event.get("k") == "checkpoint":
            newest = "saving"
    return newest


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the rounds of one phase into figures."""
    seconds = [row["seconds"] for row in rows]
    return {
        "median_s": round(statistics.median(seconds), 2),
        "max_s": round(max(seconds), 2),
        "with_checkpoint": [row["saved"] for row in rows],
        "reasons": sorted({row["reason"] for row in rows}),
    }


def wait(look: Any) -> None:
    """Look until it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
