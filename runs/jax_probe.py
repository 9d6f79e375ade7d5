"""Whether JAX is installed here and which devices it can use; JAX itself stays in a child process."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from runs.nvml import read_cards, usable_cards
from tunix_site.errors import UserError

PROBE_TIMEOUT_S = 180
PROBE_MAX_AGE_S = 3600
INSTALL_CPU = (
    "Install it with: pip install --require-hashes -r requirements/cpu.txt "
    "(for an NVIDIA GPU: requirements/gpu.txt)."
)


class DeviceUnavailableError(UserError):
    """The wanted device cannot be used; the message lists what was found."""


def jax_installed() -> bool:
    """Tell whether JAX can be imported by a child of this interpreter, without importing it."""
    return importlib.util.find_spec("jax") is not None


def require_jax() -> None:
    """Raise a clear error where JAX is not installed."""
    if not jax_installed():
        raise UserError("JAX is not installed here, and training needs it.", hint=INSTALL_CPU)


def probe_jax(*, refresh: bool = False) -> dict[str, Any]:
    """Ask a short child process which backends JAX can use here.

    The answer is cached in ``artifacts/cache/devices.json`` for an hour, per interpreter and
    per set of GPUs.

    Returns:
        ``{"jax_version", "backends": {"cpu": [...], "gpu": [...]}, "errors": {...}}``.
    """
    require_jax()
    uuids = [card.uuid for card in usable_cards(read_cards())]
    if not refresh:
        kept = cached_probe(uuids=uuids, max_age_s=PROBE_MAX_AGE_S)
        if kept is not None:
            return kept
    answer = _run_probe()
    cache = _cache()
    cache.parent.mkdir(parents=True, exist_ok=True)
    draft = cache.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps({"key": _key(uuids), "at": time.time(), "answer": answer}))
    draft.replace(cache)
    return answer


def cached_probe(*, uuids: list[str], max_age_s: float | None = None) -> dict[str, Any] | None:
    """Give JAX's last answer for these GPUs, without asking; None where there is none, or none so young."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_cache().read_text())
        age = time.time() - kept["at"]
        if kept["key"] == _key(uuids) and (max_age_s is None or 0 <= age < max_age_s):
            return dict(kept["answer"])
    return None


def _cache() -> Path:
    return Path(settings.TUNIX_ARTIFACTS_DIR) / "cache" / "devices.json"


def _key(uuids: list[str]) -> list[Any]:
    masks = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")]
    return [sys.executable, *masks, sorted(uuids)]


def _run_probe() -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "training.device"],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceUnavailableError(
            f"JAX did not list its devices within {PROBE_TIMEOUT_S} s.",
            hint="Is the GPU's driver well (nvidia-smi)?",
        ) from error
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError) as error:
        tail = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise DeviceUnavailableError(f"JAX could not be started: {tail[0]}") from error
