"""The scripts behind make: finding a Python, choosing stages, judging skips, refusing addresses."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

REPORT = """<testsuites><testsuite name="pytest" errors="0" failures="1" skipped="3" tests="6">
<testcase classname="a" name="test_sound"/><testcase classname="a" name="test_sound_too"/>
<testcase classname="a" name="test_broken"><failure message="no">no</failure></testcase>
<testcase classname="" name="training.tests.test_loop"><skipped type="pytest.skip"
  message="collection skipped">Skipped: could not import 'jax': No module</skipped></testcase>
<testcase classname="b" name="test_import"><skipped type="pytest.skip"
  message="TUNIX_TEST_DATA is not set"/></testcase>
<testcase classname="b" name="test_expected"><skipped type="pytest.xfail" message="known"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of scripts/ by name."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return import_module


def find_python(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "python.sh"), "-c", "print('started')"],
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_python_that_is_on_the_path_but_fails_is_passed_over(tmp_path: Path) -> None:
    for name in ("python3.12", "python3.13"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3.14").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "python3.14").chmod(0o755)
    assert find_python(tmp_path).stdout == "started\n"


def test_without_a_python_the_message_says_what_to_do(tmp_path: Path) -> None:
    done = find_python(tmp_path)
    assert done.returncode == 1
    assert "No Python 3.12 or newer was found" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_python_that_was_named_is_taken_or_refused_never_replaced(tmp_path: Path) -> None:
    assert find_python(tmp_path, PYTHON=sys.executable).stdout == "started\n"
    refused = find_python(Path(os.environ["PATH"].split(os.pathsep)[0]), PYTHON=str(tmp_path / "none"))
    assert refused.returncode == 1
    assert "does not start" in refused.stderr


def test_no_words_choose_the_whole_gate_but_not_the_long_trials(script: Any) -> None:
    names = [stage.name for stage in script("stages").choose([])]
    assert {"ruff", "mypy", "site", "sqlite", "postgres", "browser"} <= set(names)
    assert "long" not in names


def test_stages_come_in_the_order_of_the_gate_whatever_was_typed(script: Any) -> None:
    assert [stage.name for stage in script("stages").choose(["sqlite", "lint"])] == [
        "ruff",
        "format",
        "mypy",
        "imports",
        "sqlite",
    ]


def test_the_tests_without_jax_run_once_unless_a_person_asks_for_both(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = script("stages").choose([])
    site = next(stage for stage in chosen if stage.name == "site")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("TUNIX_TEST_POSTGRES_URL", raising=False)
    assert not script("gate").is_covered(site, chosen, [])
    monkeypatch.setenv("TUNIX_TEST_POSTGRES_URL", "postgresql://test/test")
    assert script("gate").is_covered(site, chosen, [])
    assert not script("gate").is_covered(site, chosen, ["site", "postgres"])


def test_the_longest_stages_begin_first_and_each_tells_how_it_went(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, stages = script("gate"), script("stages")
    begun: list[str] = []
    shared: set[str] = set()

    def carry_out(stage: Any, *, no_skips: bool, out: Any, programs: str) -> Any:
        begun.append(stage.name)
        shared.add(programs)
        print(f"=== {stage.name}", file=out)
        return gate.Outcome(stage.name, "passed")

    monkeypatch.setattr(gate, "run_stage", carry_out)
    monkeypatch.setattr(gate, "ensure", lambda *_: None)
    monkeypatch.setattr(gate.os, "cpu_count", lambda: 0)
    chosen = [
        stages.Stage("quick", ()),
        stages.Stage("alone", (), seconds=900, alone=True),
        stages.Stage("slow", (), seconds=90),
    ]
    assert list(gate.run_all(chosen, no_skips=True)) == ["slow", "quick", "alone"]
    assert (set(begun), begun[-1]) == ({"slow", "quick", "alone"}, "alone")
    # What one stage has compiled, the others need not; and nothing of it stays.
    assert len(shared) == 1
    assert not Path(shared.pop()).exists()


def test_each_trial_of_the_site_is_in_one_stage_of_those_on_sqlite(script: Any) -> None:
    stages = script("stages")
    ended, trainings, others = (
        next(stage for stage in stages.STAGES if stage.name == name).commands[0]
        for name in ("trainings-ended", "trainings", "sqlite")
    )
    marks = trainings[trainings.index("-m") + 1]
    assert (marks in ended, f"not {marks}" in others) == (True, True)
    assert set(stages.SITE) <= set(trainings)
    assert set(stages.SITE) <= set(others)
    assert {word for word in ended if word.endswith(".py")} == set(stages.ENDED)
    assert {word.removeprefix("--ignore=") for word in trainings if "ignore" in word} == set(stages.ENDED)
    assert all((Path(__file__).parents[2] / path).is_file() for path in stages.ENDED)
    assert not any("ignore" in word for word in others)


def test_an_unknown_stage_is_wrong_use(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("gate").main(["nonsense"]) == 2
    assert "choose from lint" in capsys.readouterr().err


def test_a_report_is_counted_and_names_the_skips_that_had_no_leave(script: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    counts, skipped = script("gate").read_report(report, script("stages").NO_JAX)
    assert counts == "2 tests passed, 1 failed, 3 skipped"
    assert skipped == ["b.test_import: TUNIX_TEST_DATA is not set"]


def test_a_persons_own_settings_stay_out_of_the_tests(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://prod/prod")
    monkeypatch.setenv("DJANGO_SECRET_KEY", "private")
    monkeypatch.setenv("TUNIX_TEST_DATA", "/srv/data")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("TUNIX_TEST_POSTGRES_URL", "postgresql://test/test")
    stages = {stage.name: stage for stage in script("stages").STAGES}
    on_sqlite = script("gate").stage_environment(stages["sqlite"], tmp_path)
    assert "DATABASE_URL" not in on_sqlite
    assert "DJANGO_SECRET_KEY" not in on_sqlite
    assert "PYTHONDONTWRITEBYTECODE" not in on_sqlite
    assert on_sqlite["TUNIX_TEST_DATA"] == "/srv/data"
    for name in ("postgres", "faults-on-postgres"):
        on_postgres = script("gate").stage_environment(stages[name], tmp_path)
        assert on_postgres["DATABASE_URL"] == f"postgresql://test/{name}"


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index" + "-url x",
        "-i https://h",
        "--find-links /srv",
        "-f x",
        "a @ https://h/a.whl",
        "-e .",
        "-r x",
    ],
)
def test_an_address_or_an_option_in_a_locked_set_is_found(line: str, script: Any) -> None:
    assert script("lock").find_addresses(f"a==1 \\\n    --hash=sha256:00\n{line}\n") == [line]


def test_an_unknown_set_is_refused_before_anything_is_made(script: Any, tmp_path: Path) -> None:
    setup_env = script("setup_env")
    with pytest.raises(setup_env.SetupError, match="There is no set 'tpu'"):
        setup_env.ensure(tmp_path / "venv", "tpu")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_environment_is_left_alone(script: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    setup_env = script("setup_env")
    with pytest.raises(setup_env.SetupError, match="no virtual environment"):
        setup_env.ensure(tmp_path, "base")
    assert (tmp_path / "mine.txt").read_text() == "keep"
