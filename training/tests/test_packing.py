import json
import multiprocessing
import os
from dataclasses import replace

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data import make_rows
from training.errors import ConfigError
from training.examples import TraceExample
from training.packing import best_fit_decreasing, pack
from training.rows import Rows
from training.tests.support import chain_examples, fast_config
from training.tokenized import fit, tokenize
from training.tokenizer import TOKENIZER

EXAMPLES = [
    TraceExample("a" * 64, "1+1", ("1+1=2",), "2"),
    TraceExample("b" * 64, "12+34+5", ("12+34=46", "46+5=51"), "51"),
    TraceExample("c" * 64, "7", (), "7"),
]
lengths_of_items = st.lists(st.integers(1, 50), min_size=1, max_size=60)
texts = st.text(max_size=20)
traces = st.builds(TraceExample, st.just("d" * 64), texts, st.lists(texts, max_size=3).map(tuple), texts)


def packed(examples, width=64, **changes):
    config = fast_config(sequence_length=width, **changes)
    return make_rows(examples, config, content_hash="", cache_dir=None)


def whole(rows):
    return rows.batch(np.arange(len(rows)))


def unpack(rows):
    """The tokens of every trace in a batch of all rows, and the supervised ones among its targets."""
    batch, found = whole(rows), []
    for row in range(len(rows)):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            inside = batch.segments[row] == segment
            tokens = [*batch.inputs[row][inside], batch.targets[row][inside][-1]]
            assert tokens[1:] == batch.targets[row][inside].tolist()
            found.append((tokens, batch.targets[row][inside & (batch.weights[row] == 1)].tolist()))
    return sorted(found)


def alone(examples, target="trace"):
    """The same of the traces, each in a row of its own."""
    traces = tokenize(examples, target=target)
    batch, found = whole(Rows(traces, int(traces.positions.max()))), []
    for row, size in enumerate(traces.sizes):
        tokens = [*batch.inputs[row][: size - 1], batch.targets[row][size - 2]]
        found.append((tokens, batch.targets[row][batch.weights[row] == 1].tolist()))
    return sorted(found)


@given(lengths_of_items)
def test_every_item_is_packed_once_and_no_bin_overflows(lengths):
    bins = best_fit_decreasing(np.array(lengths, np.int32), 50)
    assert sorted(item for group in bins for item in group) == list(range(len(lengths)))
    assert all(0 < sum(lengths[item] for item in group) <= 50 for group in bins)


@given(lengths_of_items)
def test_at_most_one_bin_is_no_more_than_half_full(lengths):
    fills = [sum(lengths[item] for item in group) for group in best_fit_decreasing(np.array(lengths), 50)]
    assert sum(fill <= 25 for fill in fills) <= 1


@given(lengths_of_items)
def test_the_bins_are_those_of_a_plain_search_for_the_best_fit(lengths):
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        room = min(fitting, default=50)
        if fitting:
            rooms.remove(room)
        rooms.append(room - length)
    bins = best_fit_decreasing(np.array(lengths), 50)
    assert sorted(50 - sum(lengths[i] for i in group) for group in bins) == sorted(rooms)


def test_an_item_that_fits_in_no_bin_is_an_error():
    for lengths in ([3, 51], [0, 4]):
        with pytest.raises(ValueError, match="between 1 and 50"):
            best_fit_decreasing(np.array(lengths), 50)


@given(st.lists(traces, min_size=1, max_size=12), st.sampled_from(["trace", "answer"]))
def test_packed_rows_hold_exactly_the_traces_and_supervise_the_same_tokens(examples, target):
    rows = packed(examples, 512, target=target)
    assert unpack(rows) == alone(examples, target)
    assert whole(rows).real_tokens == rows.facts()["real_tokens"] == int((whole(rows).segments > 0).sum())


@given(st.lists(traces, min_size=1, max_size=12))
def test_segments_count_up_from_the_left_and_end_in_padding(examples):
    rows = packed(examples, 512)
    batch = whole(rows)
    for segments in batch.segments:
        filled = segments[segments > 0]
        assert np.array_equal(segments[: len(filled)], filled)
        assert set(np.diff(filled)) <= {0, 1}
        assert filled[0] == 1
    padding = batch.segments == 0
    assert (batch.inputs[padding] == TOKENIZER.pad).all()
    assert (batch.targets[padding] == TOKENIZER.pad).all()
    assert (batch.weights[padding] == 0).all()
    runs = [int((row == i).sum()) for row in batch.segments for i in range(1, int(row.max()) + 1)]
    assert rows.reach == max(runs)
    assert rows.max_segments == batch.segments.max()


def test_no_target_belongs_to_another_trace_and_every_end_is_supervised():
    batch = whole(packed(EXAMPLES))
    assert batch.inputs.shape == (1, 64)
    ends = np.flatnonzero(np.diff(batch.segments[0]) != 0)
    assert batch.targets[0][ends].tolist() == [TOKENIZER.eos] * 3
    assert batch.weights[0][ends].tolist() == [1.0] * 3
    assert TOKENIZER.eos not in batch.inputs[0]


def test_the_rows_of_a_batch_are_the_ones_asked_for():
    rows = packed(chain_examples(40))
    everything, some = whole(rows), rows.batch(np.array([5, 0, 5]))
    for name in ("inputs", "targets", "weights", "segments"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everything, name)[[5, 0, 5]])
    assert some.real_tokens == int((some.segments > 0).sum())


def test_packing_depends_on_the_traces_alone():
    first, second = (whole(packed(chain_examples(80))) for _ in range(2))
    np.testing.assert_array_equal(first.inputs, second.inputs)
    np.testing.assert_array_equal(first.segments, second.segments)


def test_packing_stays_as_it_is_for_this_version():
    """A change here must count up PACKING_VERSION, or resumed runs would see other rows."""
    lengths = np.array([5, 9, 2, 9, 3, 1, 7], np.int32)
    assert best_fit_decreasing(lengths, 10) == [[1], [3, 5], [6, 4], [0, 2]]


def test_packed_rows_are_better_filled_than_padded_ones():
    examples = chain_examples(200)
    facts = packed(examples, 512).facts()
    padded = packed(examples, 512, packing=False).facts()
    assert facts["layout"] == "packed"
    assert padded["layout"] == "padded"
    assert facts["utilisation"] > 0.9
    assert facts["padded_utilisation"] == padded["utilisation"] < facts["utilisation"]
    assert facts["real_tokens"] == padded["real_tokens"]
    assert facts["traces"] == padded["rows"] == 200
    assert json.loads(json.dumps(facts)) == facts


def test_long_traces_are_refused_dropped_or_cut():
    long = TraceExample("e" * 64, "9" * 60, ("x" * 60,), "1")
    tokens = tokenize([long], target="trace").sizes[0]
    with pytest.raises(
        ConfigError, match=rf"1 of 4 train traces.*longest has {tokens} tokens.*long_traces=drop"
    ):
        packed([*EXAMPLES, long])
    dropped = packed([*EXAMPLES, long], long_traces="drop").facts()
    assert (dropped["traces"], dropped["dropped"], dropped["cut"]) == (3, 1, 0)
    rows = packed([*EXAMPLES, long], long_traces="cut")
    cut = rows.facts()
    assert (cut["traces"], cut["dropped"], cut["cut"]) == (4, 0, 1)
    assert cut["cut_tokens"] == tokens - 65
    assert rows.reach == rows.width == 64
    batch = rows.batch(np.array([0]))
    assert batch.targets[0][-1] == ord("x")
    assert TOKENIZER.eos not in batch.targets
    assert batch.weights[0].sum() == 65 - 61


def test_dropping_every_trace_is_an_error():
    with pytest.raises(ConfigError, match="leaves nothing"):
        packed([TraceExample("e" * 64, "9" * 99, (), "1")], long_traces="drop")


def test_cutting_leaves_short_traces_alone():
    traces = tokenize(EXAMPLES, target="trace")
    assert fit(traces, sequence_length=64, long_traces="cut") is traces


def stored(directory, examples=EXAMPLES, content_hash="h", **changes):
    config = fast_config(**{"sequence_length": 64, **changes})
    return make_rows(examples, config, content_hash=content_hash, cache_dir=directory)


def test_a_second_start_reads_the_packing_by_memory_map(tmp_path):
    first, second = stored(tmp_path), stored(tmp_path)
    assert (first.cache, second.cache) == ("written", "read")
    assert isinstance(second.inputs, np.memmap)
    fresh = pack(tokenize(EXAMPLES, target="trace"), 64)
    for rows in (first, second):
        for name in ("inputs", "targets", "weights", "segments"):
            np.testing.assert_array_equal(getattr(whole(rows), name), getattr(whole(fresh), name))
        assert rows.facts() | {"cache": ""} == fresh.facts() | {"cache": ""}
    assert [path.name for path in tmp_path.iterdir()] == ["packing"]
    assert len(list((tmp_path / "packing").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"content_hash": "other"},
        {"target": "answer"},
        {"sequence_length": 128},
        {"long_traces": "cut"},
        {"examples": EXAMPLES[:2]},
        {"examples": EXAMPLES[::-1]},
    ],
)
def test_everything_that_decides_the_rows_has_a_packing_of_its_own(tmp_path, change):
    stored(tmp_path)
    assert stored(tmp_path, **change).cache == "written"
    assert stored(tmp_path).cache == "read"


def test_what_does_not_decide_the_rows_shares_the_packing(tmp_path):
    stored(tmp_path)
    assert stored(tmp_path, seed=5, batch_size=2, learning_rate=0.01).cache == "read"


@pytest.mark.parametrize("harm", ["shorten", "flip", "remove", "index", "empty"])
def test_a_damaged_packing_is_noticed_and_made_anew(tmp_path, harm):
    stored(tmp_path)
    (place,) = (tmp_path / "packing").iterdir()
    inputs = place / "inputs.npy"
    content = inputs.read_bytes()
    if harm == "shorten":
        inputs.write_bytes(content[:-3])
    elif harm == "flip":
        inputs.write_bytes(content[:-90] + bytes([content[-90] ^ 1]) + content[-89:])
    elif harm == "remove":
        inputs.unlink()
    elif harm == "index":
        (place / "packing.json").write_text("[1]")
    else:
        for path in place.iterdir():
            path.unlink()
    rows = stored(tmp_path)
    assert rows.cache == "written"
    assert unpack(rows) == alone(EXAMPLES)
    assert stored(tmp_path).cache == "read"
    assert [path.name for path in (tmp_path / "packing").iterdir()] == [place.name]


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path):
    (tmp_path / "packing").write_text("in the way")
    rows = stored(tmp_path)
    assert rows.cache.startswith("not written: ")
    assert unpack(rows) == alone(EXAMPLES)


def test_without_a_dataset_hash_nothing_is_stored(tmp_path):
    assert stored(tmp_path, content_hash="").cache == "none"
    assert not list(tmp_path.iterdir())


def _store_many(directory):
    return stored(directory, chain_examples(300)).cache


def test_two_processes_can_store_the_same_packing_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        states = pool.map(_store_many, [tmp_path] * 4, chunksize=1)
    assert set(states) <= {"written", "read"}
    assert len(list((tmp_path / "packing").iterdir())) == 1


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    old, new = tmp_path / "packing" / ".building-old", tmp_path / "packing" / ".building-new"
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))
    stored(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_the_layouts_supervise_the_same_number_of_tokens():
    examples = chain_examples(30)
    rows = packed(examples)
    supervised = whole(rows).weights.sum()
    assert supervised == whole(packed(examples, packing=False)).weights.sum()
    assert supervised == rows.table.supervised.sum()


def test_traces_without_a_supervised_token_are_counted_as_such():
    traces = tokenize(EXAMPLES, target="trace")
    bare = replace(traces, prompt_sizes=traces.sizes)
    assert (whole(pack(bare, 64)).weights == 0).all()
    assert (pack(bare, 64).table.supervised == 0).all()
