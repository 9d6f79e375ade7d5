"""Training speed on a CPU beside PyTorch: the same model, data and arithmetic, interleaved.

    python -m benchmarks.cpu_peers --peer-python PYTHON [--shapes d128 d384] [--rounds 7] [--output FILE]

PYTHON is the interpreter of an environment with torch (a CPU build) and transformers; see
docs/performance.md. Every contender is a process of its own that trains in turn, a few updates a
round, while the others wait; the median over all updates counts. Ours starts with the
environment that a training child of this project gets.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers import contest

HERE = Path(__file__).resolve().parent
PEERS = ("eager", "compiled", "compiled-medium", "transformers")


class Contender:
    """A child process that trains when it is told to."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.seconds, self.products = name, list[float](), list[float]()
        self._process: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.facts: dict[str, Any] = self._answer()

    def take_turn(self, updates: int) -> None:
        """Do some updates and one large product."""
        self.seconds += self._ask(f"update {updates}")
        self.products += self._ask("product 2")

    def end(self) -> None:
        """Let it end."""
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, line: str) -> list[float]:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        seconds: list[float] = self._answer()
        return seconds

    def _answer(self) -> Any:
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"{self.name} ended with exit code {self._process.wait()}.")
        return json.loads(line)


def contest_of(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all contenders on one shape."""
    ours = {
        **os.environ,
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(HERE.parent),
    }
    contenders = [Contender("ours", [sys.executable, "-m", "benchmarks.peers.ours", name], ours)]
    if arguments.peer_python:
        for kind in arguments.peers:
            command = [arguments.peer_python, str(HERE / "peers" / "torch_step.py"), kind, name]
            contenders.append(Contender(kind, command, dict(os.environ)))
    updates = 12 if name == "d128" else 4
    for _ in range(arguments.rounds):
        for contender in contenders:
            contender.take_turn(updates)
    shape = contest.SHAPES[name]
    # "medium" may multiply in bf16, whose peak says nothing about fp32.
    exact = [one for one in contenders if one.name != "compiled-medium"]
    peak = max(2 * contest.PRODUCT_SIZE**3 / min(one.products) for one in exact) / 1e9
    results = {}
    for one in contenders:
        one.end()
        median = statistics.median(one.seconds)
        results[one.name] = {
            **one.facts,
            "step_s": {"median": median, "p10": sorted(one.seconds)[len(one.seconds) // 10]},
            "updates": len(one.seconds),
            "tokens_per_second": shape.tokens / median,
            "gflops": shape.flops / median / 1e9,
            "share_of_peak": shape.flops / median / 1e9 / peak,
            "product_gflops": 2 * contest.PRODUCT_SIZE**3 / min(one.products) / 1e9,
        }
    return {"shape": vars(shape), "flops": shape.flops, "peak_gflops": peak, "contenders": results}


def main() -> None:
    """Compare, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter with torch and transformers; none: ours alone")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--shapes", nargs="+", default=list(contest.SHAPES), choices=contest.SHAPES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"machine": machine(), "shapes": {}}
    for name in arguments.shapes:
        found = report["shapes"][name] = contest_of(name, arguments)
        ours = found["contenders"]["ours"]["step_s"]["median"]
        print(f"{name}: {found['peak_gflops']:.0f} GFLOP/s is the best fp32 product of the run")
        for kind, row in found["contenders"].items():
            print(
                f"  {kind:16} {row['step_s']['median'] * 1e3:8.1f} ms {row['tokens_per_second']:9,.0f} tok/s "
                f"{row['share_of_peak']:6.1%} of peak  ours is {row['step_s']['median'] / ours:.2f} x"
            )
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def machine() -> dict[str, Any]:
    """Say what ran it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {"cpu": model, "threads": len(os.sched_getaffinity(0)), "python": platform.python_version()}


if __name__ == "__main__":
    main()
