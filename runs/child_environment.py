"""The environment that a training child gets: an allow-list, and the device's mask."""

import os

from runs.models import Run

PASSED_ON = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "SSL_CERT_FILE",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "OMP_NUM_THREADS",
        "NVIDIA_VISIBLE_DEVICES",
        "CUDA_HOME",
    ]
)
PASSED_ON_PREFIXES = ("TUNIX_", "DJANGO_", "XLA_", "JAX_", "NPROC", "PG", "TF_CPP_", "CUDNN_", "NCCL_")
# Only GPU operations that repeat; what has no such form is refused when it is compiled.
DETERMINISTIC_FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_exclude_nondeterministic_ops=true")


def child_environment(run: Run) -> dict[str, str]:
    """Give the variables for the child of ``run``, masked to its device."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    environment["PYTHONUNBUFFERED"] = "1"
    environment["DJANGO_SETTINGS_MODULE"] = "tunix_site.settings"
    # Huge pages make XLA's large CPU buffers cheaper; it must stand before Python starts.
    environment.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    if run.device_kind == "gpu":
        environment["CUDA_VISIBLE_DEVICES"] = run.device_uuid or str(run.device_index)
        if run.config.get("deterministic"):
            # The last one counts where a flag is given twice, so the user's own come first.
            flags = [environment.get("XLA_FLAGS", ""), *DETERMINISTIC_FLAGS]
            environment["XLA_FLAGS"] = " ".join(flag for flag in flags if flag)
    else:
        environment["CUDA_VISIBLE_DEVICES"] = ""
        environment["JAX_PLATFORMS"] = "cpu"
    return environment
