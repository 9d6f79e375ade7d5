"""What came from others is unchanged, named and licensed."""

import hashlib
import json
from pathlib import Path

import pytest
from django.conf import settings

FOLDERS = sorted(path.parent for path in (settings.BASE_DIR / "static" / "vendor").rglob("VENDOR.json"))


def test_chartjs_is_vendored():
    assert [folder.name for folder in FOLDERS] == ["chartjs"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_vendored_files_are_those_that_were_taken(folder: Path):
    facts = json.loads((folder / "VENDOR.json").read_text())
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    found.pop("VENDOR.json")
    assert found == facts["sha256"]
    assert facts["version"] in (folder / "chart.umd.min.js").read_text()[:200]
    assert facts["licence_file"] in found
    assert facts["integrity"].startswith("sha512-")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_source_map_that_the_script_names_lies_beside_it(folder: Path):
    last = (folder / "chart.umd.min.js").read_text().strip().splitlines()[-1]
    assert (folder / last.partition("sourceMappingURL=")[2]).is_file()
