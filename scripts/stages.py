"""What the gate runs: each stage as data. How it runs them stands in gate.py."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Settings as docs/deploy.md gives them for a site behind HTTPS.
HTTPS_SETTINGS = {
    "DJANGO_ALLOWED_HOSTS": "tunix.example.org",
    "TUNIX_HTTPS": "1",
    "DJANGO_SECRET_KEY": "check-only-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


@dataclass(frozen=True)
class Stage:
    """One step of the gate: commands that run in one environment and must all end with 0.

    ``commands`` start with a module name for ``python -m``, or with a file. ``why_not`` returns the
    reason why this machine cannot run the stage, or an empty string. ``optional`` stages may be
    skipped even where skips count as failures. ``skips_allowed`` matches the reasons with which a
    test may skip itself there all the same. ``covered_by`` names a stage that runs the same tests:
    where both would run and nobody asked for this one by name, the other one is enough. ``seconds`` is
    about what it takes on two cores beside others: the longest begin first. Stages that run
    ``alone`` measure what others beside them would spoil; those ``on_postgres`` use the test server
    instead of SQLite.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    venv: str = ".venv"
    requirements: tuple[str, ...] = ("dev",)
    environment: Mapping[str, str] = field(default_factory=dict)
    why_not: Callable[[], str] = lambda: ""
    optional: bool = False
    skips_allowed: str = ""
    covered_by: str = ""
    seconds: int = 1
    alone: bool = False
    on_postgres: bool = False

    @property
    def runs_tests(self) -> bool:
        """Tell whether the stage calls pytest, so that its tests can be counted."""
        return any(command[0] == "pytest" for command in self.commands)


def postgres_url() -> str:
    """Return the address of the PostgreSQL server for tests, or an empty string."""
    given = os.environ.get("TUNIX_TEST_POSTGRES_URL") or os.environ.get("DATABASE_URL", "")
    return given if given.startswith(("postgres://", "postgresql://")) else ""


def no_postgres() -> str:
    """Say why the tests cannot run on PostgreSQL."""
    return "" if postgres_url() else "no PostgreSQL: set TUNIX_TEST_POSTGRES_URL=postgresql://…"


def find_chromium() -> str:
    """Return the path of a Chromium or Chrome, or an empty string."""
    given = os.environ.get("TUNIX_TEST_CHROMIUM", "")
    names = [given] if given else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for name in names if (path := shutil.which(name))), "")


def no_chromium() -> str:
    """Say why the browser tests cannot run."""
    return "" if find_chromium() else "no chromium on PATH (TUNIX_TEST_CHROMIUM names one elsewhere)"


def no_gpu() -> str:
    """Say why the tests on a GPU cannot run."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0
    except OSError:
        listed = False
    if not listed:
        return "no NVIDIA GPU on this machine"
    probe = "import jax; jax.devices('gpu')"
    seen = subprocess.run([ROOT / ".venv/bin/python", "-c", probe], capture_output=True, check=False)
    return (
        "" if seen.returncode == 0 else "JAX in .venv sees no GPU (`make demo GPU=1` installs the CUDA set)"
    )


def _tests(marks: str, *options: str) -> tuple[str, ...]:
    return ("pytest", "-q", "-m", marks, "--timeout", "300", "--durations", "12", *options)


# A module of tests that needs JAX skips itself where there is none.
NO_JAX = r"could not import '(jax|flax|optax|orbax|numpy|ml_dtypes)"
# A full disk is tried with a small file system of its own, and by a limit where none can be mounted.
NO_MOUNT = "file systems can't be mounted here"
# What SQLite reads of a row is seen in its plan; PostgreSQL keeps long values elsewhere anyway.
SQLITE_PLANS = "PostgreSQL keeps long values out of the row"

# All but the training core.
SITE = ("tunix_site", "datasets_app", "runs")
# About half of the time that the trials with real trainings take.
ENDED = (
    "runs/tests/test_resuming_runs.py",
    "runs/tests/test_interruptions.py",
    "runs/tests/test_training_runs.py",
)

# import-linter can only be called as a script, and scripts break when their environment is moved.
IMPORT_LINTER = "from importlinter.cli import lint_imports_command as main; main()"

STAGES = (
    Stage("ruff", (("ruff", "check", "."),)),
    Stage("format", (("ruff", "format", "--check", "."),)),
    Stage("mypy", (("mypy", "."),), seconds=30),
    Stage("imports", (("-c", IMPORT_LINTER),)),
    Stage("migrations", (("manage.py", "makemigrations", "--check", "--dry-run"),)),
    Stage(
        "deploy",
        (("manage.py", "check", "--deploy", "--fail-level", "WARNING"),),
        environment=HTTPS_SETTINGS,
    ),
    # Without JAX, as the site may be installed: on PostgreSQL, or on SQLite where there is none.
    Stage(
        "site",
        (_tests("not jax and not gpu and not browser and not long"),),
        venv=".venv-site",
        requirements=("test",),
        skips_allowed=f"{NO_JAX}|{NO_MOUNT}",
        seconds=440,
        covered_by="postgres",
    ),
    Stage(
        "postgres",
        (_tests("not jax and not gpu and not browser and not long"),),
        venv=".venv-site",
        requirements=("test",),
        why_not=no_postgres,
        seconds=440,
        on_postgres=True,
        skips_allowed=f"{NO_JAX}|{NO_MOUNT}|{SQLITE_PLANS}",
    ),
    # The training core knows no database, and takes about as long as the rest.
    Stage(
        "training",
        (_tests("not gpu and not browser and not long", "training"),),
        seconds=460,
        skips_allowed=f"this machine has a GPU|{NO_MOUNT}",
    ),
    # What happens to workers and their trainings, on the other database too.
    Stage(
        "faults-on-postgres",
        (_tests("jax and not long", "runs/tests/test_faults.py"),),
        why_not=no_postgres,
        seconds=60,
        on_postgres=True,
    ),
    # Real trainings with JAX on the CPU, in two halves; those that end them in every way are the first.
    Stage(
        "trainings-ended",
        (_tests("jax and not gpu and not browser and not long", *ENDED),),
        seconds=420,
    ),
    Stage(
        "trainings",
        (
            _tests(
                "jax and not gpu and not browser and not long", *SITE, *(f"--ignore={path}" for path in ENDED)
            ),
        ),
        seconds=400,
        # What a machine without a GPU answers can't be tried on one that has it.
        skips_allowed=f"this machine has a GPU|{NO_MOUNT}",
    ),
    # Everything else with JAX at hand, on the database that a site has at first.
    Stage(
        "sqlite",
        (_tests("not jax and not gpu and not browser and not long", *SITE),),
        seconds=390,
        skips_allowed=f"this machine has a GPU|{NO_MOUNT}",
    ),
    Stage(
        "browser",
        (_tests("browser and not gpu and not long"),),
        environment={"DJANGO_ALLOW_ASYNC_UNSAFE": "true"},
        why_not=no_chromium,
        seconds=430,
    ),
    Stage("gpu", (_tests("gpu and not long"),), why_not=no_gpu, optional=True),
    Stage(
        "long",
        (_tests("long and not gpu", "--timeout", "0"),),
        skips_allowed=NO_MOUNT,
        alone=True,
    ),
    Stage(
        "long-faults-on-postgres",
        (_tests("long", "--timeout", "0", "runs/tests/test_faults.py"),),
        why_not=no_postgres,
        alone=True,
        on_postgres=True,
    ),
    # What trains and uses the database, once more on the other database.
    Stage(
        "training-on-postgres",
        (_tests("jax and not gpu and not browser and not long", "runs"),),
        why_not=no_postgres,
        alone=True,
        on_postgres=True,
        skips_allowed=r"SQLite's own lock",
    ),
)
LONG = ("long", "long-faults-on-postgres", "training-on-postgres")

GROUPS = {
    "lint": ("ruff", "format", "mypy", "imports"),
    "gate": tuple(stage.name for stage in STAGES if stage.name not in LONG),
    "test-long": LONG,
}


def choose(words: list[str]) -> list[Stage]:
    """Return the stages that ``words`` (stage or group names) stand for, in the gate's order.

    No words mean the whole gate. Raises ``KeyError`` with the first unknown word.
    """
    known = {stage.name for stage in STAGES}
    wanted: set[str] = set()
    for word in words or ["gate"]:
        if word not in known and word not in GROUPS:
            raise KeyError(word)
        wanted.update(GROUPS.get(word, (word,)))
    return [stage for stage in STAGES if stage.name in wanted]
