"""Finding and choosing the one device that a training process uses.

``python -m training.device`` prints as one JSON object what JAX sees. JAX is imported only
when something is asked, and a process that trains on the CPU never touches a GPU.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Literal

from training.errors import DeviceError

DeviceKind = Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class SelectedDevice:
    """The device on which all work of this process is placed.

    ``physical_index`` and ``uuid`` are the card's own in the machine; this process is
    masked to that card and counts it as its first.
    """

    device: Any  # jax.Device; typed loosely because the type needs JAX
    kind: DeviceKind
    device_kind: str
    platform: str
    physical_index: int
    uuid: str


def select_device(kind: DeviceKind, *, physical_index: int = 0, uuid: str = "") -> SelectedDevice:
    """Take the first device of the kind that this process can see.

    Raises:
        DeviceError: when JAX is missing or no such device is there, listing what is.
    """
    try:
        import jax
    except ImportError as error:
        raise DeviceError(
            f"JAX is not installed ({error}). Install the extra `cpu` or `gpu`: pip install -e '.[cpu]'."
        ) from error
    if kind == "cpu" and not jax.config.jax_platforms:
        # Otherwise JAX would start the GPU's client too and reserve most of its memory.
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    try:
        device = jax.devices(kind)[0]
    except RuntimeError as error:
        found = ", ".join(f"{d.platform}:{d.id} ({d.device_kind})" for d in _all_devices(jax)) or "none"
        reason = " ".join(str(error).split())
        hint = " Use --device cpu, or install the extra `gpu` and a driver." if kind == "gpu" else ""
        raise DeviceError(
            f"JAX has no {kind} device here. Found: {found}. JAX says: {reason}.{hint}"
        ) from error
    return SelectedDevice(device, kind, str(device.device_kind), str(device.platform), physical_index, uuid)


def probe() -> dict[str, Any]:
    """List the devices of each backend, and why a backend has none; never raises."""
    try:
        import jax
    except ImportError as error:
        return {"jax_version": None, "backends": {}, "errors": {"jax": str(error)}}
    backends: dict[str, list[dict[str, Any]]] = {}
    errors: dict[str, str] = {}
    for kind in ("cpu", "gpu"):
        try:
            backends[kind] = [{"id": d.id, "kind": str(d.device_kind)} for d in jax.devices(kind)]
        except Exception as error:  # a broken driver fails in its own ways, and the answer is still wanted
            backends[kind], errors[kind] = [], " ".join(str(error).split())
    return {"jax_version": jax.__version__, "backends": backends, "errors": errors}


def _all_devices(jax: Any) -> list[Any]:
    try:
        return list(jax.devices())
    except RuntimeError:
        return []


def main() -> None:
    """Print the probe's answer, leaving the GPU's memory to others."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    print(json.dumps(probe()))


if __name__ == "__main__":
    main()


def cpu_threads() -> int:
    """Count the processors that this process may use, as XLA does."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
