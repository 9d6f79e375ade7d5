"""Import a million synthetic traces into a fresh SQLite file; prints rate, memory and longest lock.

Run by hand: ``python benchmarks/import_bench.py [--count N] [--dir D]``.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = 20


def write_traces(path: Path, count: int) -> None:
    """Write distinct three-step sums in the native format."""
    with path.open("w") as file:
        for number in range(count):
            a, b, c = number % 1000, number // 1000 % 1000, number // 1_000_000 + number % 7
            steps = [f"{a} + {b} = {a + b}", f"{a + b} * {c} = {(a + b) * c}", f"so it is {(a + b) * c}"]
            trace = {
                "trace_version": "1.0",
                "prompt": f"Trace {number}: what is ({a} + {b}) * {c}?",
                "steps": [{"i": i, "type": "step", "content": text} for i, text in enumerate(steps)],
                "final_answer": str((a + b) * c),
                "meta": {},
            }
            file.write(json.dumps(trace) + "\n")


def main() -> None:
    """Make the file, import it, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        print(json.dumps(measure(Path(folder), options.count), indent=2))


def measure(folder: Path, count: int) -> dict[str, object]:
    """Import ``count`` traces in ``folder``; memory is sampled at equal distances."""
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'bench.sqlite3'}"
    os.environ["TUNIX_ARTIFACTS_DIR"] = str(folder / "artifacts")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from django.core.management import call_command

    from datasets_app import publishing
    from datasets_app.imports.outcome import Outcome, Watch
    from datasets_app.imports.request import ImportRequest
    from datasets_app.imports.run import carry_out, open_import

    call_command("migrate", verbosity=0)
    file = folder / "traces.jsonl"
    write_traces(file, count)
    resident: dict[int, float] = {}
    locks: list[float] = []
    plain = publishing.Unpublished.add

    def timed(self: publishing.Unpublished, batch: list[publishing.Member]) -> None:
        began = time.monotonic()
        plain(self, batch)
        locks.append(time.monotonic() - began)

    publishing.Unpublished.add = timed  # type: ignore[method-assign]

    def progressed(_done: int, outcome: Outcome) -> None:
        resident.setdefault(outcome.imported * SAMPLES // count, rss_mib())

    moments: list[float] = []
    watch = Watch(progressed=progressed, counted=lambda _outcome: moments.append(time.monotonic()))
    row = open_import(request=ImportRequest(key="bench"), name=file.name, size=file.stat().st_size)
    began, cpu = time.monotonic(), time.process_time()
    outcome = carry_out(row=row, path=file, watch=watch)
    seconds, busy = time.monotonic() - began, time.process_time() - cpu
    return {
        "traces": outcome.imported,
        "file_mib": round(file.stat().st_size / 2**20, 1),
        "seconds": round(seconds, 1),
        "traces_per_second": round(count / seconds),
        "seconds_until_published": round(moments[0] - began, 1),
        "traces_per_second_until_published": round(count / (moments[0] - began)),
        "cpu_seconds": round(busy, 1),
        "longest_transaction_seconds": round(max(locks), 3),
        "transactions": len(locks),
        "resident_mib_by_progress": {
            f"{part * 100 // SAMPLES} %": round(mib) for part, mib in sorted(resident.items())
        },
        "peak_resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "processors": os.cpu_count(),
    }


def rss_mib() -> float:
    """Give the memory that this process holds now, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
