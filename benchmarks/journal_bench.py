"""What one call of the journal costs the training loop.

    python -m benchmarks.journal_bench [--calls N] [--step-seconds S] [--dir D]

Writes N steps of five values each with the recorder that a run has, and prints one JSON object: the
median and the 99th percentile of a call, and their shares of a step (the demo model's unless told).
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.feeder_bench import VALUES
from runs.journal import JournalRecorder

US = 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--step-seconds", type=float, default=0.06, help="time of one training step")
    parser.add_argument("--dir", type=Path, default=None, help="where the journal is written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        path = Path(folder) / "metrics.jsonl"
        seconds = sorted(measure(path, given.calls))
        size = path.stat().st_size
    p50, p99 = (seconds[int(given.calls * share)] for share in (0.5, 0.99))
    result = {
        "calls": given.calls,
        "values_a_call": len(VALUES),
        "bytes_a_call": round(size / given.calls),
        "p50_us": round(p50 * US, 1),
        "p99_us": round(p99 * US, 1),
        "slowest_us": round(seconds[-1] * US, 1),
        "step_seconds": given.step_seconds,
        "p50_share_of_step_percent": round(100 * p50 / given.step_seconds, 4),
        "p99_share_of_step_percent": round(100 * p99 / given.step_seconds, 4),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
    print(json.dumps(result, indent=2))


def measure(path: Path, calls: int) -> list[float]:
    """Give the seconds of each of many calls."""
    recorder = JournalRecorder(path, stop_asked=lambda: False)
    taken = []
    for step in range(calls):
        values = {name: value + step * 1e-9 for name, value in VALUES.items()}
        began = time.perf_counter()
        recorder.metrics(step, values)
        taken.append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    main()
