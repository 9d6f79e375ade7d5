"""What holds for the repository as a whole: pins, lock files, commands and their tests, templates, sizes."""

import re
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SETS = ("base", "cpu", "gpu", "test", "dev")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
TEXT = {".py", ".sh", ".js", ".css", ".html", ".md", ".toml", ".yml", ".txt", ".json", ""}


def tracked(*suffixes: str) -> list[Path]:
    """The files of the repository, new ones too, but for vendored ones."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    paths = [ROOT / name for name in listed if name and not name.startswith("static/vendor/")]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {canonicalize_name(package): version for package, version in PIN.findall(text)}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of scripts/ by name."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return import_module


@pytest.mark.parametrize("name", SETS)
def test_a_locked_set_names_no_address_and_no_option(name: str, script: Any) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert script("lock").find_addresses(text) == []


@pytest.mark.parametrize("name", SETS)
def test_every_pin_of_a_locked_set_has_a_hash(name: str) -> None:
    text = re.sub(r"\\\n", " ", (ROOT / "requirements" / f"{name}.txt").read_text())
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("name", SETS)
def test_every_direct_dependency_is_pinned_within_its_bounds(name: str, script: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in script("lock").SETS[name]:
        wanted += project["optional-dependencies"][extra]
    pinned = pins(name)
    for line in wanted:
        requirement = Requirement(line)
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements/{name}.txt: run make lock"
        assert requirement.specifier.contains(version), f"{line} against {version}: run make lock"


def test_the_gpu_set_brings_the_cuda_build() -> None:
    assert {"jax-cuda12-plugin", "jax-cuda12-pjrt"} <= pins("gpu").keys()
    assert not any("cuda" in package for package in pins("cpu"))


def test_the_sets_without_an_extra_bring_no_jax() -> None:
    assert "jax" not in pins("base")
    assert "jax" not in pins("test")


def test_a_larger_set_holds_every_pin_of_the_smaller_one(script: Any) -> None:
    for name, larger_sets in script("setup_env").LARGER_SETS.items():
        for larger in larger_sets:
            assert pins(name).items() <= pins(larger).items(), f"{larger}.txt lacks pins of {name}.txt"


def test_no_lock_file_that_names_download_hosts_is_kept() -> None:
    unwanted = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "package-lock.json", "yarn.lock"}
    assert [shown(path) for path in tracked() if path.name in unwanted] == []


def test_every_management_command_has_a_test_that_names_it() -> None:
    commands = [path for path in tracked(".py") if path.parent.name == "commands" and path.stem != "__init__"]
    tests = [path.read_text() for path in tracked(".py") if "tests" in path.parts and path != Path(__file__)]
    untested = [
        shown(path)
        for path in commands
        if not any(re.search(rf"[\"' ]{path.stem}[\"' ]", text) for text in tests)
    ]
    assert commands
    assert untested == []


def test_every_management_command_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "commands.md").read_text()
    commands = [path for path in tracked(".py") if path.parent.name == "commands"]
    names = [path.stem for path in commands if path.stem != "__init__"]
    assert [name for name in names if f"`{name}" not in manual] == []


def test_every_environment_variable_of_the_settings_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "configuration.md").read_text()
    settings = (ROOT / "tunix_site" / "settings.py").read_text()
    names = re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", settings)
    assert names
    assert [name for name in names if f"`{name}`" not in manual] == []


def test_no_file_has_grown_too_long_to_read() -> None:
    sources = [
        path for path in tracked(".py", ".js", ".css", ".html", ".sh") if "migrations" not in path.parts
    ]
    lengths = {shown(path): len(path.read_text().splitlines()) for path in sources}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_templates_hold_no_script_or_style_of_their_own() -> None:
    inline = re.compile(
        r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")|<style|\sstyle=[\"']|\son[a-z]+=[\"']|javascript:",
        re.IGNORECASE,
    )
    found = [
        f"{shown(path)}: {match.group()}"
        for path in tracked(".html")
        for match in inline.finditer(path.read_text())
    ]
    assert found == []


def test_templates_load_nothing_from_elsewhere() -> None:
    remote = re.compile(r"(?:src|href)=[\"'](?:https?:)?//[^\"']+(?:js|css|woff2?|png|svg)[\"']")
    assert [shown(path) for path in tracked(".html") if remote.search(path.read_text())] == []


def test_no_file_holds_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
    texts = [path for path in tracked() if path.suffix in TEXT]
    assert [shown(path) for path in texts if marks.search(path.read_text())] == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    # Written in pieces, so that this file is not one of those it finds.
    names = "|".join(("root", "home", "work", "Users"))
    folders = re.compile(rf"(?<![\w./-])/(?:{names})/")
    texts = [path for path in tracked() if path.suffix in TEXT]
    assert [shown(path) for path in texts if folders.search(path.read_text())] == []


def test_links_between_the_manuals_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
    broken = [
        f"{shown(path)}: {target}"
        for path in tracked(".md")
        for target in link.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
