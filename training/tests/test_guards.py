from dataclasses import replace

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

from training import bases
from training.config import make_config
from training.data import build_rows, make_rows
from training.errors import ConfigError
from training.examples import TraceExample
from training.guards import check, check_tokens, require_supervision
from training.hf.tests.arrays import write_base
from training.packing import pack
from training.tests.support import chain_examples, fast_config
from training.text_form import BYTES
from training.tokenized import tokenize

EXAMPLES = [
    TraceExample("a" * 64, "1+1", ("1+1=2",), "2"),
    TraceExample("b" * 64, "12+34+5", ("12+34=46", "46+5=51"), "51"),
]
LONG = TraceExample("c" * 64, "9" * 20, ("x" * 60,), "1")


def warnings(examples=EXAMPLES, **changes):
    config = fast_config(**{"sequence_length": 64, "batch_size": 1, "steps": 10, **changes})
    rows = make_rows(examples, config, content_hash="", cache_dir=None)
    return check(config, rows, examples=examples, vocab_size=260)


@pytest.mark.parametrize("packing", [True, False])
def test_a_sound_recipe_gives_no_warning(packing):
    assert warnings(packing=packing) == []


def test_rows_beyond_what_a_base_model_was_made_for_are_warned_about(tmp_path, monkeypatch):
    monkeypatch.setattr(bases, "_places", [lambda: tmp_path])
    name = write_base(tmp_path, "qwen3")
    assert bases.find_base(name).positions == 128
    rows = make_rows(EXAMPLES, fast_config(sequence_length=64), content_hash="", cache_dir=None)

    def warned(length):
        config = make_config({"model": name, "sequence_length": length, "batch_size": 1, "steps": 10})
        found = check(config, rows, examples=EXAMPLES, vocab_size=1000)
        return [one for one in found if "max_position_embeddings" in one]

    monkeypatch.setattr("training.guards.text_form", lambda _: BYTES)
    assert warned(128) == []
    (said,) = warned(129)
    assert said.startswith(f"sequence_length=129 is more than the 128 positions that {name} was made for")


def test_the_recipe_as_it_comes_gives_no_warning():
    examples = chain_examples(2000, length=8)
    config = make_config({})
    rows = make_rows(examples, config, content_hash="", cache_dir=None)
    assert check(config, rows, examples=examples, vocab_size=260) == []


@pytest.mark.parametrize("packed", [True, False])
def test_traces_without_a_supervised_token_are_refused_and_named(packed):
    traces = tokenize(EXAMPLES, target="trace")
    prompt_sizes = traces.prompt_sizes.copy()
    prompt_sizes[1] = traces.sizes[1]
    bare = replace(traces, prompt_sizes=prompt_sizes)
    rows = (
        pack(bare, 64)
        if packed
        else replace(build_rows(EXAMPLES, target="trace", sequence_length=64), traces=bare)
    )
    with pytest.raises(
        ConfigError, match=r"1 training traces supervise no token \(traces 1 \(bbbbbbbbbbbb\)\)"
    ):
        require_supervision(rows, EXAMPLES)


def test_traces_that_were_cut_within_their_prompt_are_refused_and_the_reason_is_named():
    long_prompt = TraceExample("d" * 64, "9" * 99, (), "1")
    with pytest.raises(
        ConfigError, match=r"\(traces 2 \(dddddddddddd\)\); 1 of them were cut within their prompt"
    ):
        warnings([*EXAMPLES, long_prompt], long_traces="cut")


@pytest.mark.parametrize("packing", [True, False])
def test_cut_traces_are_counted_with_what_they_lose(packing):
    size = tokenize([LONG], target="trace").sizes[0]
    (warning,) = warnings([EXAMPLES[0], LONG, EXAMPLES[1], LONG], long_traces="cut", packing=packing)
    lost = size - 65
    assert (
        f"2 of 4 training traces are cut to sequence_length=64: {2 * lost} tokens are lost, {lost} "
        in warning
    )
    assert "their EOS is not supervised (traces 1 (cccccccccccc), 3 (cccccccccccc))" in warning


def test_only_the_first_traces_are_named():
    (warning,) = warnings([LONG] * 8, long_traces="cut")
    assert "4 (cccccccccccc) and 3 more" in warning


def test_dropped_traces_are_counted():
    (warning,) = warnings([*EXAMPLES, LONG], long_traces="drop")
    assert "1 of 3 training traces are left out" in warning


def test_a_vocabulary_that_is_smaller_than_the_tokenizers_is_refused():
    with pytest.raises(ConfigError, match="256 rows for tokens and the tokenizer uses 258 ids"):
        check_tokens(vocab_size=256, used=258, pad=256, ends=[257])
    check_tokens(vocab_size=258, used=258, pad=256, ends=[257])


def test_a_pad_that_is_the_eos_is_refused():
    with pytest.raises(ConfigError, match=r"PAD and EOS are the same id \(7\)"):
        check_tokens(vocab_size=9, used=9, pad=7, ends=[7])


@pytest.mark.parametrize(
    ("optimizer", "fine", "high", "senseless"),
    [
        ("adamw", 0.006, 0.05, 1.0),
        ("lion", 0.001, 0.01, 0.2),
        ("adafactor", 0.01, 0.5, 2.0),
        ("muon", 0.02, 0.5, 2.0),
        ("sgd", 1.0, 5.0, None),
    ],
)
def test_a_learning_rate_out_of_sense_is_warned_about_or_refused(optimizer, fine, high, senseless):
    assert warnings(optimizer=optimizer, learning_rate=fine) == []
    (warning,) = warnings(optimizer=optimizer, learning_rate=high)
    assert f"learning_rate={high:g} is unusually high for optimizer={optimizer}" in warning
    if senseless is not None:
        with pytest.raises(ConfigError, match=f"learning_rate={senseless:g} cannot work .*Take .* or less"):
            warnings(optimizer=optimizer, learning_rate=senseless)


def test_a_learning_rate_that_moves_nothing_is_warned_about():
    (warning,) = warnings(learning_rate=1e-9, final_learning_rate=0)
    assert "learning_rate=1e-09 is so low that 10 updates" in warning


def test_a_batch_of_more_rows_than_there_are_is_warned_about():
    (warning,) = warnings(batch_size=4)
    assert "batch_size=4 is more than the 1 rows there are" in warning
    assert "4 times; take 1 or less, or a smaller sequence_length." in warning
    (warning,) = warnings(batch_size=4, packing=False)
    assert "more than the 2 rows there are" in warning
    assert warning.endswith("2 times; take 2 or less.")


def test_hundreds_of_epochs_are_warned_about():
    (warning,) = warnings(steps=500)
    assert "500 updates of 1 rows go 500 times over the 1 rows" in warning
