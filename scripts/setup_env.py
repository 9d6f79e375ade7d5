"""Make a virtual environment hold one of the locked sets in requirements/.

Usage: ``setup_env.py VENV SET [SET]...``, for example ``setup_env.py .venv cpu``. Needs only the
standard library. An environment that already holds the set, or a larger one, is left alone.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"

# Sets that hold every pin of the set on the left.
LARGER_SETS = {
    "base": ("cpu", "gpu", "test", "dev"),
    "cpu": ("gpu", "dev"),
    "gpu": (),
    "test": ("dev",),
    "dev": (),
}


class SetupError(Exception):
    """The environment could not be made; the message says what to do."""


def venv_python(venv: Path) -> Path:
    """Return the interpreter of ``venv``."""
    return venv / "bin" / "python"


def ensure(venv: Path, *names: str) -> Path:
    """Create ``venv`` if need be, install the sets ``names`` into it, and return its interpreter.

    Raises ``SetupError`` when the environment cannot be created or filled.
    """
    for name in names:
        if name not in LARGER_SETS:
            raise SetupError(f"There is no set {name!r}; choose from {', '.join(LARGER_SETS)}.")
    with _one_at_a_time():
        if not _works(venv):
            _create(venv)
        for name in names:
            if not _holds(venv, name):
                _install(venv, name)
    return venv_python(venv)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep `make worker` and `make serve`, started together, from filling one environment at once."""
    folder = os.open(REQUIREMENTS, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _works(venv: Path) -> bool:
    """Tell whether the environment's interpreter starts and is new enough."""
    probe = "import sys; sys.exit(sys.version_info < (3, 12) or sys.prefix == sys.base_prefix)"
    try:
        return (
            subprocess.run([venv_python(venv), "-c", probe], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def _create(venv: Path) -> None:
    """Create an empty environment, in place of one that no longer works."""
    if venv.exists():
        if not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
            raise SetupError(f"{venv} exists and is no virtual environment; move it away first.")
        shutil.rmtree(venv)
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Creating {venv.name} with Python {version}", flush=True)
    created = subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=False)
    if created.returncode:
        raise SetupError(f"{sys.executable} -m venv failed; on Debian, install python3-venv.")


def _locked_state() -> str:
    """Return a digest of all locked sets together.

    They agree with one another (a test checks it), so while none has changed, installing one
    never takes anything from another; once any has changed, each is installed anew.
    """
    digest = hashlib.sha256()
    for path in sorted(REQUIREMENTS.glob("*.txt")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _stamp(venv: Path, name: str) -> Path:
    return venv / ".installed" / name


def _holds(venv: Path, name: str) -> bool:
    """Tell whether the environment holds the set, itself or by way of a larger one."""
    state = _locked_state()
    stamps = [_stamp(venv, each) for each in (name, *LARGER_SETS[name])]
    return any(stamp.exists() and stamp.read_text() == state for stamp in stamps)


def _install(venv: Path, name: str) -> None:
    """Install one set with uv where it works, else with pip, and note that it is there."""
    began = time.monotonic()
    path = REQUIREMENTS / f"{name}.txt"
    print(f"Installing requirements/{name}.txt into {venv.name}", flush=True)
    if not (_install_with_uv(venv, path) or _install_with_pip(venv, path)):
        raise SetupError(
            f"Installing requirements/{name}.txt failed; the lines above say why. "
            "Where a package index could not be reached, set the index up for pip and try again."
        )
    stamp = _stamp(venv, name)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(_locked_state())
    print(f"Installed in {time.monotonic() - began:.0f} s", flush=True)


def _install_with_uv(venv: Path, requirements: Path) -> bool:
    """Install with uv; False where there is none that works, so that pip gets its turn."""
    try:
        found = subprocess.run(["uv", "--version"], capture_output=True, check=False, cwd=ROOT)
    except OSError:
        return False
    if found.returncode:
        return False
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    target = ["--python", str(venv_python(venv)), "--require-hashes", "-r", str(requirements)]
    command = ["uv", "pip", "install", *quiet, *target]
    # Trust the certificates that this machine trusts, as pip does (the second name is uv's older one).
    environment = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", **os.environ}
    if subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode:
        print("uv could not install the set; trying pip.", file=sys.stderr, flush=True)
        return False
    return True


def _install_with_pip(venv: Path, requirements: Path) -> bool:
    """Install with pip, which is brought into the environment first where it lacks it."""
    python = venv_python(venv)
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode:
        bootstrap = subprocess.run([python, "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=False)
        if bootstrap.returncode:
            print("This Python brings no pip; on Debian, install python3-venv.", file=sys.stderr)
            return False
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    # Compiling everything at once takes as long as the rest; Python compiles what it imports.
    options = ["--require-hashes", "--no-compile", "--no-input", "--disable-pip-version-check"]
    command = [str(python), "-m", "pip", "install", *quiet, *options, "-r", str(requirements)]
    return subprocess.run(command, check=False, cwd=ROOT).returncode == 0


def main(arguments: list[str]) -> int:
    """Set up the environment that the command line names."""
    if len(arguments) < 2:
        print("Usage: setup_env.py VENV SET [SET]...", file=sys.stderr)
        return 2
    venv, *names = arguments
    try:
        ensure(ROOT / venv, *names)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
