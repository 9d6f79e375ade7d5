"""Devices of this machine: what the driver sees, what JAX can use, which one a run takes.

No JAX in this process: the GPUs come from NVML, and whether JAX can really compute on them
is told by a short child process, whose answer is kept for a while.
"""

import contextlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings

from runs.processes import hostname
from tunix_site.errors import UserError

if TYPE_CHECKING:
    from runs.models import Run

PROBE_TIMEOUT_S = 180
PROBE_MAX_AGE_S = 3600
INSTALL_CPU = (
    "Install it with: pip install --require-hashes -r requirements/cpu.txt "
    "(for an NVIDIA GPU: requirements/gpu.txt)."
)


class DeviceUnavailableError(UserError):
    """The wanted device cannot be used; the message lists what was found."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as a run names it. ``index`` and ``uuid`` are the physical ones."""

    kind: str
    index: int = 0
    uuid: str = ""
    name: str = ""
    memory_bytes: int | None = None

    @property
    def key(self) -> str:
        """Name under which the device is leased on its host."""
        return self.uuid or f"{self.kind}:{self.index}"

    @classmethod
    def of_run(cls, run: "Run") -> Self:
        """Give the device that a run was created for."""
        return cls(kind=run.device_kind, index=run.device_index, uuid=run.device_uuid, name=run.device_name)


def cpu() -> Device:
    """Give the CPU slot of this machine."""
    return Device(kind="cpu", name=_cpu_name(), memory_bytes=_memory_bytes())


def gpus() -> list[Device]:
    """List the NVIDIA GPUs that the driver sees; empty without a driver."""
    with _nvml() as nvml:
        if nvml is None:
            return []
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = None
            with contextlib.suppress(nvml.NVMLError):
                memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
            found.append(
                Device(
                    kind="gpu",
                    index=index,
                    uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
                    name=_text(nvml.nvmlDeviceGetName(handle)),
                    memory_bytes=memory,
                )
            )
        return found


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """Open NVML, or give None where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


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
    cache = Path(settings.TUNIX_ARTIFACTS_DIR) / "cache" / "devices.json"
    key = [
        sys.executable,
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        os.environ.get("JAX_PLATFORMS"),
        [gpu.uuid for gpu in gpus()],
    ]
    if not refresh:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(cache.read_text())
            if kept["key"] == key and 0 <= time.time() - kept["at"] < PROBE_MAX_AGE_S:
                return dict(kept["answer"])
    answer = _run_probe()
    cache.parent.mkdir(parents=True, exist_ok=True)
    draft = cache.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps({"key": key, "at": time.time(), "answer": answer}))
    draft.replace(cache)
    return answer


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


def resolve_device(*, kind: str | None, index: int | None = None) -> Device:
    """Choose the device of a new run: the one asked for, else a usable GPU, else the CPU.

    Raises:
        UserError: where JAX is missing.
        DeviceUnavailableError: where the device is not there, naming what is.
    """
    require_jax()
    if kind == "cpu":
        if index:
            raise DeviceUnavailableError(f"There is no cpu:{index}: the CPU is one device, cpu:0.")
        return cpu()
    if kind is None and index is None and not gpus():
        return cpu()
    present = gpus()
    probe = probe_jax()
    usable = bool(probe["backends"].get("gpu"))
    if kind is None and index is None and not usable:
        return cpu()
    wanted = index or 0
    if not usable or wanted >= len(present):
        raise DeviceUnavailableError(
            f"gpu:{wanted} cannot be used. {_findings(present, probe)}",
            hint="Use --device cpu, or install requirements/gpu.txt and an NVIDIA driver."
            if not usable
            else f"Choose --device-index 0 to {len(present) - 1}.",
        )
    return present[wanted]


def _findings(present: list[Device], probe: dict[str, Any]) -> str:
    driver = (
        "The NVIDIA driver sees " + ", ".join(f"gpu:{gpu.index} {gpu.name}" for gpu in present)
        if present
        else "No NVIDIA driver or GPU was found"
    )
    seen = [
        f"{kind}:{device.get('id', 0)} ({device.get('kind', '?')})"
        for kind, devices in probe["backends"].items()
        for device in devices
    ]
    return f"{driver}; JAX {probe.get('jax_version', '?')} can use {', '.join(seen) or 'nothing'}."


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()} ({len(os.sched_getaffinity(0))} cores)"
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def inventory(*, refresh: bool = False) -> dict[str, Any]:
    """List this machine's devices with what JAX can use and which runs hold them.

    Returns:
        ``{"host", "jax", "devices": [{"kind", "index", "uuid", "name", "memory_bytes",
        "usable", "run_id"}]}``; ``jax`` says in words what JAX sees.
    """
    from runs.models import DeviceLease

    present = gpus()
    try:
        probe = probe_jax(refresh=refresh)
    except UserError as error:
        usable_kinds, words = set[str](), str(error)
    else:
        usable_kinds = {kind for kind, devices in probe["backends"].items() if devices}
        words = _findings(present, probe)
        words += "".join(f" {kind}: {error}" for kind, error in probe.get("errors", {}).items())
    leases = {lease.device: lease.run_id for lease in DeviceLease.objects.filter(host=hostname())}
    return {
        "host": hostname(),
        "jax": words,
        "devices": [
            {
                "kind": device.kind,
                "index": device.index,
                "uuid": device.uuid,
                "name": device.name,
                "memory_bytes": device.memory_bytes,
                "usable": device.kind in usable_kinds,
                "run_id": leases.get(device.key),
            }
            for device in [cpu(), *present]
        ],
    }
