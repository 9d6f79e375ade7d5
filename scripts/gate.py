"""Run the gate: `make test` and, for chosen stages, `make test STAGES="lint sqlite"`.

Sets up the environments, runs every stage that this machine can run, and at the end names what ran,
how long it took, what was skipped and why. Exit 0 when nothing failed, 1 when something did, 2 for
an unknown stage. With TUNIX_NO_SKIPS=1 a skip is a failure, but for stages that need a GPU.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from xml.etree import ElementTree

from setup_env import ROOT, SetupError, ensure
from stages import GROUPS, STAGES, Stage, choose, find_chromium, postgres_url

# What would carry a person's own site into the tests, or have each of their many processes read all
# modules from their source again.
PRIVATE = re.compile(
    r"(DATABASE_URL|DJANGO_|TUNIX_(?!TEST_|NO_SKIPS)|PYTHONPATH|PYTHONHOME|PYTHONDONTWRITEBYTECODE"
    r"|VIRTUAL_ENV|XLA_FLAGS)"
)

_SHOWING = threading.Lock()


@dataclass
class Outcome:
    """How one stage went; ``result`` is passed, failed or skipped."""

    stage: str
    result: str
    seconds: float = 0.0
    note: str = ""
    skipped_tests: list[str] = field(default_factory=list)


def stage_environment(stage: Stage, scratch: Path) -> dict[str, str]:
    """Return the environment of a stage: this one without a person's own settings, and a scratch folder."""
    environment = {name: value for name, value in os.environ.items() if not PRIVATE.match(name)}
    environment["TUNIX_ARTIFACTS_DIR"] = str(scratch / "artifacts")
    environment["TUNIX_SECRET_KEY_PATH"] = str(scratch / "secret_key")
    if stage.name != "gpu":
        environment["JAX_PLATFORMS"] = "cpu"
    if stage.on_postgres:
        # A database of its own, for stages run side by side; the tests make it and drop it again.
        environment["DATABASE_URL"] = urlsplit(postgres_url())._replace(path=f"/{stage.name}").geturl()
    elif not stage.runs_tests:
        environment["DATABASE_URL"] = f"sqlite:///{scratch / 'gate.sqlite3'}"
    if find_chromium():
        environment["TUNIX_TEST_CHROMIUM"] = find_chromium()
    return {**environment, **stage.environment}


def command_line(python: Path, command: tuple[str, ...], report: Path) -> list[str]:
    """Return the process arguments for one command of a stage."""
    first, *rest = command
    if first == "pytest":
        rest.append(f"--junitxml={report}")
    how = [first] if first == "-c" or first.endswith(".py") else ["-m", first]
    return [str(python), *how, *rest]


def read_report(report: Path, allowed: str) -> tuple[str, list[str]]:
    """Return pytest's counts in words, and the tests that skipped themselves without leave.

    A skip whose reason matches ``allowed`` belongs to the stage and is not named.
    """
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))  # noqa: S314  pytest wrote it for us
    skipped = []
    for case in suite.iter("testcase"):
        for mark in case.iter("skipped"):
            reason = f"{mark.get('message', '')} {mark.text or ''}".strip()
            if mark.get("type") == "pytest.skip" and not (allowed and re.search(allowed, reason)):
                skipped.append(f"{case.get('classname')}.{case.get('name')}: {mark.get('message')}")
    left_out = int(suite.get("skipped", "0"))
    failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
    ran = int(suite.get("tests", "0")) - left_out
    return f"{ran - failed} tests passed, {failed} failed, {left_out} skipped", skipped


def run_stage(stage: Stage, *, no_skips: bool, out: IO[str], programs: str = "") -> Outcome:
    """Run a stage's commands until one fails, and say how it went. What they print goes to ``out``.

    ``programs`` is the folder in which all stages keep what they have compiled.
    """
    print(f"\n=== {stage.name} ===", file=out, flush=True)
    began = time.monotonic()
    try:
        python = ensure(ROOT / stage.venv, *stage.requirements)
    except SetupError as error:
        return Outcome(stage.name, "failed", time.monotonic() - began, str(error))
    if reason := stage.why_not():
        print(f"skipped: {reason}", file=out, flush=True)
        return Outcome(stage.name, "failed" if no_skips and not stage.optional else "skipped", note=reason)

    note = ""
    skipped: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tunix-gate-") as folder:
        report = Path(folder) / "report.xml"
        environment = stage_environment(stage, Path(folder))
        if programs:
            environment["TUNIX_TEST_PROGRAMS"] = programs
        result = "passed"
        for command in stage.commands:
            arguments = command_line(python, command, report)
            code = subprocess.run(
                arguments, check=False, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
            ).returncode
            if code:
                result, note = "failed", f"{command[0]} ended with {code}"
                break
        if report.exists():
            counts, skipped = read_report(report, stage.skips_allowed)
            note = f"{counts}; {note}" if note else counts
    if skipped and no_skips:
        result, note = "failed", f"{note}; a skip counts as a failure here"
    return Outcome(stage.name, result, time.monotonic() - began, note, skipped)


def run_kept(stage: Stage, *, no_skips: bool, programs: str = "") -> Outcome:
    """Run a stage, and show what it printed once it has ended, so that no two mix."""
    with tempfile.TemporaryFile("w+") as kept:
        outcome = run_stage(stage, no_skips=no_skips, out=kept, programs=programs)
        kept.seek(0)
        with _SHOWING:
            shutil.copyfileobj(kept, sys.stdout)
            sys.stdout.flush()
    return outcome


def run_all(stages: list[Stage], *, no_skips: bool) -> dict[str, Outcome]:
    """Run the stages, the longest first, as many at a time as there are cores, and one more.

    Each is one process that computes on one core most of its time, and waits for the rest of it.
    """
    for stage in stages:
        # They use the same environments, so these are set up first; a failure shows in its stage.
        with contextlib.suppress(SetupError):
            ensure(ROOT / stage.venv, *stage.requirements)
    together = sorted((stage for stage in stages if not stage.alone), key=lambda stage: -stage.seconds)
    with tempfile.TemporaryDirectory(prefix="tunix-programs-") as programs:
        run = partial(run_kept, no_skips=no_skips, programs=programs)
        with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
            outcomes = list(pool.map(run, together))
        outcomes += [run(stage) for stage in stages if stage.alone]
    return {outcome.stage: outcome for outcome in outcomes}


def is_covered(stage: Stage, stages: list[Stage], words: list[str]) -> bool:
    """Tell whether another stage of this call runs the same tests."""
    others = [other for other in stages if other.name == stage.covered_by and not other.why_not()]
    return bool(others) and stage.name not in words


def print_summary(outcomes: list[Outcome], seconds: float) -> None:
    """Name what ran, how long it took, what was skipped and why; the last line counts the stages."""
    print("\n=== What ran ===")
    for outcome in outcomes:
        spent = f"{outcome.seconds:7.1f} s" if outcome.seconds else " " * 9
        print(f"{outcome.stage:<20} {outcome.result:<8} {spent}  {outcome.note}".rstrip())
        for line in outcome.skipped_tests:
            print(f"{'':<20} skipped  {line}")
    print(f"{seconds:.0f} s in all")
    results = [outcome.result for outcome in outcomes]
    counts = ", ".join(f"{results.count(result)} {result}" for result in ("passed", "failed", "skipped"))
    print(f"gate: {counts}", flush=True)


def main(words: list[str]) -> int:
    """Run the stages named on the command line, or the whole gate."""
    try:
        stages = choose(words)
    except KeyError as unknown:
        names = ", ".join([*GROUPS, *(stage.name for stage in STAGES)])
        print(f"There is no stage {unknown}; choose from {names}.", file=sys.stderr)
        return 2
    began = time.monotonic()
    no_skips = os.environ.get("TUNIX_NO_SKIPS") == "1"
    try:
        covered = [stage for stage in stages if is_covered(stage, stages, words)]
        ran = run_all([stage for stage in stages if stage not in covered], no_skips=no_skips)
        outcomes = [
            ran.get(stage.name)
            or Outcome(stage.name, "skipped", note=f"{stage.covered_by} runs the same tests")
            for stage in stages
        ]
    except KeyboardInterrupt:
        return 130
    print_summary(outcomes, time.monotonic() - began)
    return 1 if any(outcome.result == "failed" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
