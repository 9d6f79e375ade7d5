"""A process that writes after many prompts: the same texts as a process for each, and few models held."""

import shutil
from typing import Any

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from training.checkpoints import amend
from training.decoding import Decoding
from training.device import select_device
from training.errors import CheckpointError, OutOfMemoryError
from training.generate import Generator, generate_text
from training.serving import Models
from training.tests.support import fast_config, run_training

DRAWN = Decoding(max_new_tokens=40, temperature=1.1, top_p=0.95, seed=4)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, cache_dir):
    """Three checkpoints of one recipe."""
    root = tmp_path_factory.mktemp("served")
    run_training(
        fast_config(steps=9, save_every_steps=3, keep_checkpoints=3),
        root,
        cache_dir,
        train_count=40,
        test_count=4,
    )
    return [root / str(step) for step in (3, 6, 9)]


@pytest.fixture
def models(cache_dir):
    return Models(select_device("cpu"), cache_dir=cache_dir)


def write(models, step_dir, prompt="1+2", decoding=DRAWN, should_stop=lambda: False, told=None):
    return models.write(
        step_dir=step_dir,
        prompt=prompt,
        decoding=decoding,
        should_stop=should_stop,
        on_text=(told if told is not None else []).append,
    )


def alone(step_dir, prompt="1+2", decoding=DRAWN):
    (text,) = generate_text(
        step_dir=step_dir, prompts=[prompt], decoding=decoding, device=select_device("cpu")
    )
    return text


def test_it_writes_what_a_process_of_its_own_would(models, checkpoints):
    for step_dir in (*checkpoints, checkpoints[0]):
        told: list[Any] = []
        text = write(models, step_dir, told=told)
        assert text == alone(step_dir)
        assert len(told) >= 2
        assert text.text.startswith(told[-1].text)


def test_it_holds_two_models_and_one_program_for_equal_recipes(models, checkpoints):
    for step_dir in checkpoints:
        write(models, step_dir)
    assert list(models._loaded) == checkpoints[1:]
    write(models, checkpoints[1])
    assert list(models._loaded) == [checkpoints[2], checkpoints[1]]
    assert len({id(one.generator) for one in models._loaded.values()}) == 1


def test_a_later_checkpoint_in_the_same_folder_is_read_anew(models, checkpoints, tmp_path):
    place = tmp_path / "3"
    shutil.copytree(checkpoints[0], place)
    first = models._model(place)
    assert models._model(place) is first
    amend(place, attempt=2)
    assert models._model(place) is not first
    assert len(models._loaded) == 1


def test_a_stop_ends_the_text_and_the_next_one_is_whole(models, checkpoints):
    told: list[Any] = []
    assert write(models, checkpoints[0], should_stop=lambda: bool(told), told=told) is None
    assert len(told) == 1
    assert write(models, checkpoints[0]) == alone(checkpoints[0])


def test_a_checkpoint_that_is_gone_is_named(models, checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        write(models, tmp_path / "nowhere")
    assert write(models, checkpoints[0]) is not None


def test_without_room_it_tries_again_alone_and_then_says_so(models, checkpoints, monkeypatch):
    write(models, checkpoints[0])
    written = Generator.__call__
    failures = [RuntimeError("RESOURCE_EXHAUSTED: out of memory")]

    def sometimes(self, *args, **options):
        if failures:
            raise failures.pop()
        return written(self, *args, **options)

    monkeypatch.setattr(Generator, "__call__", sometimes)
    assert write(models, checkpoints[1]) == alone(checkpoints[1])
    assert list(models._loaded) == [checkpoints[1]]
    failures.append(RuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    with pytest.raises(OutOfMemoryError, match="Ask for fewer tokens"):
        write(models, checkpoints[1])
    assert not models._loaded
