"""JAX lives in the child that trains and nowhere else: no web or worker process ever loads it."""

import subprocess
import sys

from django.conf import settings

WALK = """
import importlib, pkgutil, sys
import django
django.setup()
walked = []
for package in ("tunix_site", "datasets_app", "runs"):
    root = importlib.import_module(package)
    walked.append(package)
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        if ".tests" not in found.name:
            importlib.import_module(found.name)
            walked.append(found.name)
from django.urls import get_resolver
get_resolver().url_patterns
from django_q.cluster import Cluster
jax_parts = {"jax", "jaxlib", "flax", "optax", "orbax"}
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in jax_parts)
print(len(walked), loaded)
"""


def test_importing_every_module_of_the_site_loads_no_jax():
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        cwd=settings.BASE_DIR,
        env={
            "PATH": "/usr/bin:/bin",
            "DJANGO_SETTINGS_MODULE": "tunix_site.settings",
            "DJANGO_SECRET_KEY": "k" * 60,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, _, loaded = done.stdout.strip().partition(" ")
    assert int(count) > 60
    assert loaded == "[]"
