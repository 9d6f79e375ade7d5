"""Where and with what a process runs: all that could explain why two runs differ."""

import hashlib
import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training.code_facts import git_facts, masked, training_code
from training.config import TrainConfig
from training.device import SelectedDevice, cpu_threads

_PACKAGES: Final = (
    "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pydantic",
    "jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cudnn-cu12", "nvidia-cublas-cu12",
)  # fmt: skip
_VARIABLES: Final = (
    "CUDA_VISIBLE_DEVICES", "XLA_FLAGS", "JAX_PLATFORMS", "GLIBC_TUNABLES", "OMP_NUM_THREADS",
    "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION",
    "TF_CUDNN_DETERMINISTIC", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
_JAX_FLAGS: Final = (
    "jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl",
    "jax_threefry_partitionable", "jax_numpy_dtype_promotion",
)  # fmt: skip


def collect(
    selected: SelectedDevice,
    *,
    config: TrainConfig,
    dataset_key: str,
    content_hash: str,
    argv: Sequence[str],
) -> dict[str, Any]:
    """Gather the facts as plain JSON values; what cannot be found out is None, and nothing raises."""
    return {
        "device": _device_facts(selected),
        "gpu": gpu_facts(selected.uuid, selected.physical_index) if selected.kind == "gpu" else None,
        "environment": {name: os.environ.get(name) for name in _VARIABLES},
        "threads": cpu_threads(),
        "cpu_model": _cpu_model(),
        "memory_bytes": _memory_bytes(),
        "hostname": socket.gethostname(),
        "operating_system": platform.platform(),
        "python": sys.version.split()[0],
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "packages_hash": packages_hash(),
        "installed": installed(),
        "jax_flags": _jax_flags(),
        "training_code": training_code(),
        **git_facts(Path(__file__).resolve().parents[1]),
        "command": [masked(word) for word in argv],
        "seed": config.seed,
        "dataset_key": dataset_key,
        "content_hash": content_hash,
        "config": config.model_dump(mode="json"),
    }


def installed() -> list[str]:
    """List all installed packages as sorted ``name==version``."""
    return sorted(
        {
            f"{distribution.name.lower().replace('_', '-')}=={distribution.version}"
            for distribution in importlib.metadata.distributions()
            if distribution.name
        }
    )


def packages_hash() -> str:
    """Return the SHA-256 over the list of all installed packages."""
    return hashlib.sha256("\n".join(installed()).encode()).hexdigest()


def gpu_facts(uuid: str, physical_index: int) -> dict[str, Any] | None:
    """Ask the driver about one card (by UUID where known); None without a driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            handle = (
                pynvml.nvmlDeviceGetHandleByUUID(uuid)
                if uuid
                else pynvml.nvmlDeviceGetHandleByIndex(physical_index)
            )
            cuda = pynvml.nvmlSystemGetCudaDriverVersion()
            return {
                "name": _text(pynvml.nvmlDeviceGetName(handle)),
                "uuid": _text(pynvml.nvmlDeviceGetUUID(handle)),
                "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                "driver_version": _text(pynvml.nvmlSystemGetDriverVersion()),
                "cuda_driver_version": f"{cuda // 1000}.{cuda % 1000 // 10}",
            }
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # a missing or broken driver must not end a run that only wanted to name it
        return None


def _jax_flags() -> dict[str, Any]:
    """Read the settings of JAX that decide how numbers are made."""
    try:
        import jax

        return {name: _plain(getattr(jax.config, name, None)) for name in _JAX_FLAGS}
    except Exception:  # as above: facts, not conditions
        return {}


def _plain(value: Any) -> str | bool | int | None:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _device_facts(selected: SelectedDevice) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": selected.kind,
        "device_kind": selected.device_kind,
        "platform": selected.platform,
        "physical_index": selected.physical_index,
        "uuid": selected.uuid,
        "memory_limit_bytes": None,
        "platform_version": None,
        "jax_devices": [],
    }
    try:
        import jax

        facts["jax_devices"] = [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()]
        statistics: Mapping[str, int] = selected.device.memory_stats() or {}
        facts["memory_limit_bytes"] = statistics.get("bytes_limit")
        facts["platform_version"] = str(selected.device.client.platform_version)
    except Exception:  # as above: facts, not conditions
        return facts
    return facts


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
