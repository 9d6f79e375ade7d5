"""How long after a training has written a point into its journal a reader of the API has it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.web_data import LONG_NAME
from benchmarks.web_http import Visitor

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 20
POLL_S = 0.1
TRAIN = "train --dataset golden-v2 --device cpu --foreground --set model=nano --steps 1000000"


def watch(port: int, seeded: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """Train a small model and watch how long after its journal's lines the points are answered."""
    api = Visitor(port, {"Authorization": f"Bearer {seeded['token']}"})
    process = subprocess.Popen(
        [sys.executable, "manage.py", *TRAIN.split()],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lags: list[float] = []
    try:
        run, deadline = _new_run(api, seeded["runs"][0], process), time.monotonic() + 120
        cursor = ""
        until = None
        while time.monotonic() < (until or deadline):
            answer = json.loads(
                api.get(f"/api/training/runs/{run}/metrics?names={LONG_NAME}&max_points=20000&after={cursor}")
            )
            now, cursor = time.time(), answer["cursor"]
            lags += [now - moment for series in answer["series"] for moment in series["time"]]
            if lags and until is None:
                until = time.monotonic() + SECONDS
            time.sleep(POLL_S)
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=120)[1]
    if not lags:
        return {"error": errors[-500:]}
    lags.sort()
    return {
        "points": len(lags),
        "p50_s": round(lags[len(lags) // 2], 2),
        "p95_s": round(lags[int(0.95 * len(lags))], 2),
        "max_s": round(lags[-1], 2),
    }


def _new_run(api: Visitor, known: int, process: "subprocess.Popen[str]") -> int:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        newest = json.loads(api.get("/api/training/runs?limit=1"))["items"][0]["id"]
        if newest > known:
            return int(newest)
        time.sleep(0.1)
    raise RuntimeError("The training did not start.")
