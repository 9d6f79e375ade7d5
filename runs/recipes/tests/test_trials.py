"""What the recipes are for: with traces a small model learns what it cannot learn from answers alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

pytestmark = [pytest.mark.jax, pytest.mark.long, pytest.mark.timeout(7200)]

ARM_S = 180
ADDITION_S = 300


def test_traces_matter_over_three_seeds_of_two_families_and_in_addition(tmp_path):
    output = tmp_path / "trials.json"
    command = [sys.executable, "-m", "benchmarks.reasoning_trials", "--output", str(output)]
    if data := os.environ.get("TUNIX_TEST_DATA"):
        command += ["--data", data]
    subprocess.run(command, check=True, cwd=settings.BASE_DIR)
    found = json.loads(Path(output).read_text())
    for arm in found["arms"]:
        assert arm["overlap"] == 0
        assert arm["n"] >= 500
        if arm["recipe"] in {"chain", "cups"}:
            assert arm["answer_accuracy"] >= 0.97
        elif arm["recipe"].endswith("answer-only"):
            assert arm["answer_accuracy"] <= 0.40
        elif arm["recipe"] == "addition-scratchpad":
            assert arm["answer_accuracy"] >= 0.80
            assert arm["seconds"] <= ADDITION_S
        if not arm["recipe"].startswith("addition"):
            assert arm["seconds"] <= ARM_S
    assert len(found["pairs"]) == 6
    assert all(pair["p_value"] < 1e-6 for pair in found["pairs"])
