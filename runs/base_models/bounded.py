"""Text forms of base models for the site: used in a short process that cannot take much. Needs no JAX.

A chat template is a program by strangers and a tokenizer may have hundreds of megabytes, so neither is ever
loaded into the process that serves the pages.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from django.conf import settings

from training import bases
from training.config import TrainConfig
from training.errors import ConfigError
from training.hf.reasoning import Frame, read
from training.rendering import Parse, parse_completion
from training.text_form import BYTES
from tunix_site.errors import TooManyError

# Of addresses, in bytes; a tokenizer of 280,000 pieces and 520,000 merges takes 0.6 GB.
MEMORY: Final = 2 << 30
# On the processor, and by the clock.
SECONDS: Final = 20
WAIT_S: Final = 40
WRITTEN: Final = 16 << 20
# At once in one process of the site, which has few threads, and how long one more waits for its turn.
SHOWING: Final = 1
ASKING: Final = 2
TURN_S: Final = 3
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
# A thread of its own for each core would take addresses, and wins nothing on one text.
_FEW_THREADS: Final = {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "2"}
_TOLD: Final = 500


class _Turns:
    """Lets few processes be at work at once; pages that show and questions do not wait for each other."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn.

        Raises:
            TooManyError: when none comes in time.
        """
        if not self._free.acquire(timeout=TURN_S):
            raise TooManyError(
                "Other tokenizers of base models are being read already.", hint="Try again in a minute."
            )
        try:
            yield
        finally:
            self._free.release()


_SHOWING, _ASKING = _Turns(SHOWING), _Turns(ASKING)


def count_tokens(config: TrainConfig, prompt: str) -> int:
    """Count the tokens that a prompt takes in the recipe's model.

    Raises:
        ConfigError: for a base model that is not here, or cannot be used.
        TooManyError: when too much of this is at work.
    """
    if not bases.is_base(config.model):
        return len(BYTES.prompt(prompt))
    return int(_of_recipe(config, count=prompt)["tokens"])


def parser(config: TrainConfig) -> Parse:
    """Return what reads steps and answer out of a text of the recipe's model.

    Where its base model is not here any more or cannot be used (now), texts are read as from scratch.
    """
    if not bases.is_base(config.model):
        return parse_completion
    try:
        frame = Frame(*_of_recipe(config)["frame"])
    except (ConfigError, TooManyError):
        return parse_completion
    return lambda text: read(config.reasoning, text, frame)


def shown(base: bases.Base, *, reasoning: str, system_prompt: str, show: Mapping[str, Any]) -> dict[str, Any]:
    """Give a trace as a base model is given it; see `training.hf.form_child`.

    Raises:
        ConfigError: for a base model that cannot be used so.
        TooManyError: when too much of this is at work.
    """
    found: dict[str, Any] = _result(base, _SHOWING, reasoning, system_prompt, show=show)["shown"]
    return found


def forget() -> None:
    """Forget all answers."""
    _said.cache_clear()


def _of_recipe(config: TrainConfig, **more: Any) -> dict[str, Any]:
    base = bases.find_base(config.model)
    return _result(base, _ASKING, config.reasoning, config.system_prompt, **more)


def _result(
    base: bases.Base, turns: _Turns, reasoning: str, system_prompt: str, **more: Any
) -> dict[str, Any]:
    """Ask for what a folder's form gives; the folder is named by its content, so an answer stays true."""
    asked = {
        "folder": str(base.folder.absolute()),
        "reasoning": reasoning,
        "system_prompt": system_prompt,
        **more,
    }
    said = json.loads(_said(json.dumps(asked, sort_keys=True), turns))
    if limit := said.get("limit"):
        raise ConfigError(
            f"base model {base.record.name}: its tokenizer and chat template were stopped, for they "
            f"{_LIMITS[limit]}. Take a shorter text, or correct the template and import the model anew."
        )
    if "error" in said:
        raise ConfigError(said["error"])
    result: dict[str, Any] = said["result"]
    return result


# What libraries end with when no memory is left.
_OUT_OF_MEMORY: Final = {signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP, signal.SIGILL}
_LIMITS: Final = {
    "memory": f"need more than {MEMORY >> 30} GiB of memory",
    "seconds": f"compute for more than {SECONDS} seconds",
}


@lru_cache(maxsize=64)
def _said(request: str, turns: _Turns) -> str:
    with turns.one():
        return _carried_out(request)


def _carried_out(request: str) -> str:
    """Let a process answer, and end it where it takes too long."""
    limits = {"memory": MEMORY, "seconds": SECONDS, "written": WRITTEN}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "training.hf.form_child"],
                cwd=settings.BASE_DIR,
                env=_environment(),
                input=json.dumps(json.loads(request) | limits).encode(),
                stdout=out,
                stderr=complaints,
                timeout=WAIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            # The machine may have been busy, so this is not kept.
            raise ConfigError(
                f"The tokenizer of this base model gave no answer within {WAIT_S} seconds. Try again later."
            ) from error
        out.seek(0)
        if done.returncode == 0:
            return out.read().decode()
        complaints.seek(0)
        return _ended(done.returncode, complaints.read().decode(errors="replace"))


def _ended(code: int, complaints: str) -> str:
    """Say which limit ended a process, as far as its end tells."""
    if -code == signal.SIGXCPU:
        return json.dumps({"limit": "seconds"})
    if (
        -code in {signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP, signal.SIGILL}
        or "MemoryError" in complaints
    ):
        return json.dumps({"limit": "memory"})
    last = next(reversed(complaints.strip().splitlines()), "")[:_TOLD]
    raise ConfigError(f"The process that reads a base model's tokenizer ended with {code}: {last}")


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _FEW_THREADS
