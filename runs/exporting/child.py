"""The process that writes an export: on the CPU, without a lease, for it computes next to nothing."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from django.conf import settings

from runs.child_environment import NEEDED_SECRETS, PASSED_ON
from runs.jax_probe import require_jax
from tunix_site.errors import UserError

# Lines of a failed process that are told.
_TOLD: Final = 5

type Hear = Callable[[Mapping[str, Any]], None]


class ExportFailedError(UserError):
    """The export could not be written; the message says why."""


def run_child(request: Mapping[str, Any], *, hear: Hear) -> dict[str, Any]:
    """Let a process carry out a request (`training.hf.export_child`), and hear how far it is.

    It gets no access to the database and no secret.

    Raises:
        ExportFailedError: with what the process says, or how it ended.
    """
    require_jax()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-m", "training.hf.export_child"],
            cwd=settings.BASE_DIR,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        try:
            last = _follow(process, json.dumps(request), hear)
        finally:
            # Where this side gives up (Ctrl-C), the process takes what is half written with it.
            process.terminate()
        if process.returncode == 0 and "result" in last:
            return dict(last["result"])
        raise _failure(last, process.returncode, said)


def _follow(process: "subprocess.Popen[str]", request: str, hear: Hear) -> dict[str, Any]:
    """Hand the request over and listen until the process ends. Returns the last thing that it said."""
    last: dict[str, Any] = {}
    # One that ended before it read is told of by its exit code.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request)  # type: ignore[union-attr]  # asked for above
        process.stdin.close()  # type: ignore[union-attr]
    for line in process.stdout or ():
        last = json.loads(line)
        if "phase" in last:
            hear(last)
    process.wait()
    return last


def _failure(last: Mapping[str, Any], code: int, said: IO[str]) -> ExportFailedError:
    said.seek(0)
    end = "\n".join(said.read().strip().splitlines()[-_TOLD:])
    if "error" in last:
        return ExportFailedError(str(last["error"]), hint=end if last.get("unexpected") else "")
    how = "was ended by the system, which may be out of memory" if code == -9 else f"ended with {code}"
    return ExportFailedError(f"The process that writes the export {how}; nothing was written.", hint=end)


def _environment() -> dict[str, str]:
    environment = {
        name: os.environ[name] for name in sorted(PASSED_ON - NEEDED_SECRETS) if name in os.environ
    }
    return environment | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}
