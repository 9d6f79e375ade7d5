import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data import (
    batch_indices,
    build_rows,
    choose_subset,
    epoch_order,
    longest_completion,
    prompt_overlap,
)
from training.errors import ConfigError
from training.examples import TraceExample
from training.tests.support import chain_examples
from training.tokenizer import TOKENIZER

EXAMPLES = [
    TraceExample("0" * 64, "1+1", ("1+1=2",), "2"),
    TraceExample("1" * 64, "12+34+5", ("12+34=46", "46+5=51"), "51"),
]


def test_prompt_and_padding_are_not_supervised_but_the_whole_completion_and_eos_are():
    rows = build_rows(EXAMPLES, target="trace", sequence_length=64)
    batch = rows.batch(np.array([0]))
    supervised = batch.targets[0][batch.weights[0] == 1].tolist()
    assert TOKENIZER.decode(supervised) == "1+1=2\n#2"
    assert supervised[-1] == TOKENIZER.eos
    assert TOKENIZER.pad not in supervised


def test_the_answer_target_supervises_the_answer_alone():
    batch = build_rows(EXAMPLES, target="answer", sequence_length=64).batch(np.array([1]))
    assert TOKENIZER.decode(batch.targets[0][batch.weights[0] == 1].tolist()) == "#51"


def test_targets_are_the_inputs_one_further():
    batch = build_rows(EXAMPLES, target="trace", sequence_length=64).batch(np.array([0, 1]))
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])


def test_rows_are_padded_to_the_longest_trace_rounded_up_and_no_further():
    rows = build_rows(EXAMPLES, target="trace", sequence_length=512)
    assert rows.width == 32  # 8 prompt tokens, 20 of the completion, EOS: 28 inputs
    batch = rows.batch(np.array([0, 1]))
    assert batch.real_tokens == int((batch.targets != TOKENIZER.pad).sum())


def test_rows_that_are_too_long_are_counted_and_the_setting_is_named():
    with pytest.raises(ConfigError, match=r"1 of 2 train traces.*longest has 29.*sequence_length=28"):
        build_rows(EXAMPLES, target="trace", sequence_length=27)


def test_a_trace_of_one_token_more_than_a_row_has_positions_fits():
    assert build_rows(EXAMPLES, target="trace", sequence_length=28).width == 32


def test_without_a_sequence_length_no_trace_is_too_long():
    assert len(build_rows(EXAMPLES, target="trace", sequence_length=None)) == 2


def test_no_examples_is_an_error_that_names_the_split():
    with pytest.raises(ConfigError, match="no test example"):
        build_rows([], target="trace", sequence_length=20, split="test")


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 2**31 - 1))
def test_every_epoch_holds_every_row_once_also_over_the_borders_of_batches(rows, batch_size, seed):
    steps = -(-3 * rows // batch_size)
    seen = np.concatenate(
        [batch_indices(rows=rows, batch_size=batch_size, seed=seed, step=step) for step in range(steps)]
    )
    for epoch in range(3):
        assert sorted(seen[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_the_order_depends_on_seed_and_step_alone():
    def order(seed, step):
        return batch_indices(rows=50, batch_size=8, seed=seed, step=step).tolist()

    forward = [order(3, step) for step in range(20)]
    assert [order(3, step) for step in reversed(range(20))] == forward[::-1]
    assert order(4, 0) != order(3, 0)


def test_the_order_is_the_same_on_every_machine_and_numpy():
    assert epoch_order(rows=8, seed=0, epoch=0).tolist() == [0, 3, 7, 5, 1, 2, 6, 4]


def test_a_subset_is_always_the_same_and_a_larger_one_holds_it():
    examples = chain_examples(60)
    small = choose_subset(examples, limit=10, seed=1)
    assert small == choose_subset(examples, limit=10, seed=1)
    assert set(small) < set(choose_subset(examples, limit=30, seed=1))
    assert choose_subset(examples, limit=1000, seed=1) == examples


def test_shared_prompts_are_counted():
    assert prompt_overlap(EXAMPLES, EXAMPLES[:1]) == 1
    assert prompt_overlap(EXAMPLES[1:], EXAMPLES[:1]) == 0


def test_the_longest_completion_counts_its_end():
    assert longest_completion(EXAMPLES, "answer") == len("#51") + 1
