"""A short process that uses a base model's text form within bounds of its own. Imports no JAX.

A tokenizer and a chat template are by strangers, and only the system can bound what they take. It reads one
JSON object from standard input and writes one to standard output: ``result``, or ``error``.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import ConfigError
from training.examples import TraceExample


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load the form of a base model, and use it as asked.

    ``result`` has ``frame``, the three texts around what a model writes; with ``count`` (a prompt) also the
    number of its ``tokens``; with ``show`` (a trace) what `_shown` gives. ``error`` says why there is none.
    """
    from training.hf.text import HfForm, load_text_form

    try:
        form = load_text_form(
            Path(request["folder"]), reasoning=request["reasoning"], system_prompt=request["system_prompt"]
        )
        if not isinstance(form, HfForm):
            raise TypeError(f"the form of a base model is a {type(form).__name__}")
        result: dict[str, Any] = {"frame": [form.frame.lead, form.frame.between, form.frame.trail]}
        if "count" in request:
            result["tokens"] = len(form.prompt(request["count"]))
        if "show" in request:
            result["shown"] = _shown(form, request["show"])
    except ConfigError as error:
        return {"error": str(error)}
    return {"result": result}


def _shown(form: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give the first ``most`` ids of a trace with their texts, and what is read back out of all."""
    example = TraceExample("", asked["prompt"], tuple(asked["steps"]), asked["answer"])
    ids, prompt = form.trace(example, asked["target"])
    some = ids[: asked["most"]]
    special = frozenset(form.encoder.controls.values())
    found = form.parse(form.decode(ids[prompt:]))
    return {
        "ids": some,
        "pieces": form.encoder.pieces(some),
        "special": [number in special for number in some],
        "total": len(ids),
        "prompt": prompt,
        "steps": len(found.steps),
        "answer": None if found.answer is None else found.answer[: asked["longest"]],
        "problem": found.problem,
        "pad": form.pad,
        "ends": list(form.ends),
        "hash": form.hash,
    }


def limit(name: int, most: int, *, spare: int = 0) -> None:
    """Lower a limit of this process, unless a lower one is set already.

    With ``spare`` the hard limit is that much higher, so that its end says which limit it was.
    """
    hard = resource.getrlimit(name)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard - spare)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(name, (most, most + spare))


def main() -> int:
    """Carry out the request on standard input."""
    # Only the answer goes to the reader; what libraries print goes nowhere near it.
    reader = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = json.load(sys.stdin)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, request["memory"])
    limit(resource.RLIMIT_CPU, request["seconds"], spare=1)
    limit(resource.RLIMIT_FSIZE, request["written"])
    try:
        said = answer(request)
    except MemoryError:
        said = {"limit": "memory"}
    with os.fdopen(reader, "w") as out:
        json.dump(said, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
