"""What the site may import must never load JAX."""

import subprocess
import sys

import pytest

HEAVY = ("jax", "jaxlib", "flax", "optax", "orbax", "numpy")
FREE = (
    "training.config",
    "training.decoding",
    "training.errors",
    "training.examples",
    "training.recorder",
    "training.rendering",
    "training.grading",
    "training.model_config",
    "training.hf.families",
    "training.hf.form_child",
    "training.hf.formats",
    "training.hf.reasoning",
    "training.hf.recorded",
    "training.hf.target",
    "training.tokenizer",
    "training.checkpoints",
    "training.device",
    "training.provenance",
)


def test_the_modules_that_the_site_reads_load_no_jax():
    code = f"import sys, {', '.join(FREE)}; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", FREE)
def test_each_of_them_imports_alone(module):
    code = f"import sys, {module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
