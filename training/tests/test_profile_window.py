"""A trace of a window of updates, which changes nothing of the training."""

import json

import pytest

pytest.importorskip("jax")

from training.tests.support import StopAfter, fast_config, run_training
from training.trace_places import SCOPES
from training.traces import OPERATIONS_NAME, PLACES_NAME

STEPS = 8


@pytest.fixture(scope="module")
def plain(tmp_path_factory, cache_dir):
    return run_training(fast_config(steps=STEPS), tmp_path_factory.mktemp("plain"), cache_dir)


@pytest.mark.parametrize("window", [(3, 5), (1, 2), (7, 20)])
def test_a_window_is_traced_and_the_parameters_are_the_same(plain, tmp_path, cache_dir, window):
    folder = tmp_path / "profile"
    result, recorder = run_training(
        fast_config(steps=STEPS), tmp_path / "run", cache_dir, profile=(*window, folder)
    )
    assert result.params_hash == plain[0].params_hash
    assert recorder.series("train/loss") == plain[1].series("train/loss")
    rows = json.loads((folder / OPERATIONS_NAME).read_text())
    assert rows[0]["seconds"] > 0
    assert sum(row["share"] for row in rows) <= 1 + 1e-9
    places = {row["name"].partition(",")[0] for row in json.loads((folder / PLACES_NAME).read_text())}
    assert places >= set(SCOPES)
    last = min(window[1], STEPS)
    assert any(f"Profile of updates {window[0]} to {last} written" in line for line in recorder.messages)


def test_a_training_that_is_stopped_within_the_window_ends_its_trace(tmp_path, cache_dir):
    for name in ("one", "two"):
        # A trace that was left open would refuse the next one.
        result, _ = run_training(
            fast_config(steps=STEPS),
            tmp_path / name,
            cache_dir,
            recorder=StopAfter(4),
            profile=(3, 7, tmp_path / f"profile-{name}"),
        )
        assert result.status == "stopped"
        assert list((tmp_path / f"profile-{name}").rglob("*.xplane.pb"))


def test_a_window_beyond_the_last_step_leaves_no_profile(tmp_path, cache_dir):
    run_training(fast_config(steps=3), tmp_path / "run", cache_dir, profile=(50, 60, tmp_path / "profile"))
    assert not (tmp_path / "profile").exists()
