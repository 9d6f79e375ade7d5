"""Evaluations of a model: the same twice, several texts a prompt, taken up where they were cut off."""

from itertools import combinations

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from training.assembly import assemble, first_state
from training.device import select_device
from training.errors import ConfigError
from training.evaluate import Evaluator
from training.evaluation.generating import Keeping
from training.generate import StopRequestedError
from training.tests.support import MemoryRecorder, chain_examples, check_chain, fast_config

N, ROWS = 20, 8
DRAWN = {"temperature": 1.5, "samples": 4, "seed": 3}


class Watched(MemoryRecorder):
    """Asks for a stop once so many prompts are told to be done."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.stop_after = stop_after

    def should_stop(self):
        return self.stop_after is not None and bool(self.phases) and self.phases[-1][1] >= self.stop_after


@pytest.fixture(scope="module")
def model():
    """A nano model that has learned nothing: what it writes is noise, and always the same."""
    assembly = assemble(fast_config(eval_batch_size=ROWS), select_device("cpu").device)
    evaluator = Evaluator(assembly, chain_examples(30), split="test", seed=0, checkers={"chain": check_chain})
    return evaluator, first_state(assembly).params


@pytest.fixture
def evaluate(model):
    evaluator, params = model

    def run(path=None, *, recorder=None, checkpoint="one", **decoding):
        recorder = recorder or Watched()
        keeping = Keeping(path, {"checkpoint": checkpoint}, recorder) if path else None
        return evaluator(
            params,
            step=5,
            limit=N,
            final=True,
            should_stop=recorder.should_stop,
            decoding=decoding,
            keeping=keeping,
        )

    return run


def test_twice_the_same_evaluation_gives_the_same_hash_and_tells_how_it_was_made(evaluate):
    first, second = evaluate(), evaluate()
    assert first.results_hash == second.results_hash != ""
    assert first.samples == second.samples
    assert (first.n, first.limit, first.draws, first.subset_seed) == (N, N, 1, 0)
    assert (first.grader, first.grader_version >= 1) == ("auto", True)
    assert first.decoding["temperature"] == 0
    assert first.decoding["max_new_tokens"] == 24
    assert first.generated_tokens == sum(one.tokens for one in first.samples) > 0
    assert 0 < first.generation_seconds <= first.seconds
    assert (first.pass_at, first.majority_accuracy) == ({}, None)


@pytest.mark.parametrize("decoding", [{}, DRAWN], ids=["greedy", "drawn"])
def test_one_that_was_stopped_goes_on_where_it_was_and_ends_in_the_same_hash(evaluate, tmp_path, decoding):
    whole = evaluate(**decoding)
    path, stopped = tmp_path / "generated.jsonl", Watched(stop_after=4)
    with pytest.raises(StopRequestedError):
        evaluate(path, recorder=stopped, **decoding)
    kept = len(path.read_bytes().splitlines())
    batches = -(-len(whole.samples) // ROWS)
    assert 0 < kept < batches
    again = Watched()
    report = evaluate(path, recorder=again, **decoding)
    assert report.results_hash == whole.results_hash
    assert report.samples == whole.samples
    assert again.resumes == [kept * ROWS // report.draws]
    assert len(again.phases) == batches - kept
    assert again.phases[-1] == ("evaluating", N)


def test_a_damaged_batch_alone_is_generated_again(evaluate, tmp_path):
    path = tmp_path / "generated.jsonl"
    whole = evaluate(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"start":8', b'"start":9')
    path.write_bytes(b"".join(lines))
    again = Watched()
    report = evaluate(path, recorder=again)
    assert report.results_hash == whole.results_hash
    assert len(again.phases) == 1
    assert any("damaged" in message for message in again.messages)
    # What was mended is kept: the next one generates nothing.
    last = Watched()
    assert evaluate(path, recorder=last).results_hash == whole.results_hash
    assert (last.phases, last.resumes) == ([], [N])


def test_texts_of_another_checkpoint_or_other_settings_are_not_taken(evaluate, tmp_path):
    path = tmp_path / "generated.jsonl"
    evaluate(path)
    for changes in ({"checkpoint": "two"}, {"max_new_tokens": 20}, DRAWN):
        recorder = Watched()
        evaluate(path, recorder=recorder, **changes)
        assert recorder.resumes == [], changes


def test_several_texts_a_prompt_repeat_with_their_seed_and_are_summed_up_by_prompt(evaluate):
    first, second = evaluate(**DRAWN), evaluate(**DRAWN)
    assert first.results_hash == second.results_hash
    assert evaluate(**{**DRAWN, "seed": 4}).results_hash != first.results_hash
    assert (first.n, first.draws, len(first.samples)) == (N, 4, 4 * N)
    assert [one.draw for one in first.samples] == [0, 1, 2, 3] * N
    groups = [first.samples[at : at + 4] for at in range(0, 4 * N, 4)]
    assert all(len({one.prompt for one in group}) == 1 for group in groups)
    for k in (1, 2, 4):
        # By hand: of every choice of k texts, whether one is right.
        chances = [
            sum(any(one.correct for one in some) for some in combinations(group, k))
            / len(list(combinations(group, k)))
            for group in groups
        ]
        assert first.pass_at[str(k)] == pytest.approx(sum(chances) / N)
    assert first.majority_accuracy == sum(group[0].majority_correct for group in groups) / N
    assert all(one.majority_correct is None for group in groups for one in group[1:])
    assert first.correct == sum(group[0].correct for group in groups)


def test_several_texts_without_a_temperature_are_refused(evaluate):
    with pytest.raises(ConfigError, match="samples=4 changes nothing at temperature=0"):
        evaluate(samples=4)


def test_a_grader_that_there_is_not_is_refused(model):
    assembly = assemble(fast_config(), select_device("cpu").device)
    with pytest.raises(ConfigError, match=r"no grader 'guess'.*auto"):
        Evaluator(assembly, chain_examples(5), split="test", seed=0, grader="guess")
