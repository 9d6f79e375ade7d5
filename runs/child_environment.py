"""The environment that a training child gets: an allow-list without secrets, and the device's mask."""

import os
import re

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
        "GLIBC_TUNABLES",
        "NVIDIA_VISIBLE_DEVICES",
        "CUDA_HOME",
    ]
)
PASSED_ON_PREFIXES = ("TUNIX_", "DJANGO_", "XLA_", "JAX_", "NPROC", "PG", "TF_CPP_", "CUDNN_", "NCCL_")
SECRET_NAME = re.compile("SECRET|TOKEN|PASSW|PASSPHRASE|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
# The child reads the settings and the database, and these are what that takes.
NEEDED_SECRETS = frozenset(
    [
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "DJANGO_SECRET_KEY",
        "DJANGO_SECRET_KEY_FILE",
        "TUNIX_SECRET_KEY_PATH",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSSLKEY",
        "PGSSLPASSWORD",
    ]
)
# Only GPU operations that repeat; what has no such form is refused when it is compiled.
DETERMINISTIC_FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_exclude_nondeterministic_ops=true")


def _is_passed_on(name: str) -> bool:
    if name not in PASSED_ON and not name.startswith(PASSED_ON_PREFIXES):
        return False
    return name in NEEDED_SECRETS or not SECRET_NAME.search(name)


def child_environment(run: Run) -> dict[str, str]:
    """Give the variables for the child of ``run``, masked to its device.

    A GPU, or an instance of a divided one (MIG), is named by its UUID, which no renumbering
    changes.
    """
    environment = {name: value for name, value in os.environ.items() if _is_passed_on(name)}
    environment["PYTHONUNBUFFERED"] = "1"
    environment["DJANGO_SETTINGS_MODULE"] = "tunix_site.settings"
    # Huge pages make XLA's large CPU buffers cheaper; it must stand before Python starts.
    environment.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    if run.device_kind == "gpu":
        environment["CUDA_VISIBLE_DEVICES"] = run.device_uuid or str(run.device_index)
        # Numbers mean the driver's order then, in which the index was found.
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        if run.config.get("deterministic"):
            # The last one counts where a flag is given twice, so the user's own come first.
            flags = [environment.get("XLA_FLAGS", ""), *DETERMINISTIC_FLAGS]
            environment["XLA_FLAGS"] = " ".join(flag for flag in flags if flag)
    else:
        environment["CUDA_VISIBLE_DEVICES"] = ""
        environment["JAX_PLATFORMS"] = "cpu"
    return environment
