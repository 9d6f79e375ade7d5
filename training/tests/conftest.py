"""Compiled programs are shared by all tests of one session; what was compiled once is read back.

The gate gives all its stages the same folder for them in TUNIX_TEST_PROGRAMS.
"""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shared = os.environ.get("TUNIX_TEST_PROGRAMS")
    return Path(shared) if shared else tmp_path_factory.mktemp("xla")
