"""Reading a sharded checkpoint takes the memory of what is kept, and about one tensor more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes")

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak"
)


def test_the_peak_stays_below_the_bound(tmp_path):
    output = tmp_path / "found.json"
    # Whoever held a whole shard of two would need half as much again.
    flags = ["--megabytes", "64", "--shards", "2", "--ways", "host", "--output", output]
    words = [sys.executable, "-m", "benchmarks.loading_memory", *map(str, flags)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(output.read_text())
    assert found["shards"] >= 2
    assert found["host"]["after"] > 0.95 * found["bytes"]
    assert found["host"]["peak"] < 1.2 * found["bytes"], done.stdout
    assert done.returncode == 0, done.stderr
