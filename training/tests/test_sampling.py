import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.decoding import Decoding
from training.sampling import choose_tokens, keep_likeliest, make_sampler, name_rows, row_keys

LOGITS = np.array([2.0, -1.0, 0.5, 1.9, 0.0, -3.0, 1.0, 0.5], dtype=np.float32)
DRAWS = 20_000
# Chi-square is above this once in 10,000 for 7 degrees of freedom, and for fewer more seldom.
FAR = 29.9

choose = jax.jit(choose_tokens)
keep = jax.jit(keep_likeliest)


def draw(decoding, *, count=0, rows=DRAWS, logits=LOGITS):
    names = name_rows([[1, 2, 3]], rows)
    keys = row_keys(np.uint32(decoding.seed), names)
    counts = jnp.full(rows, count)
    return np.asarray(choose(jnp.tile(logits, (rows, 1)), keys, counts, make_sampler(decoding)))


def kept_by_numpy(ranked, top_k, top_p):
    """Rank by rank, as one would write it down: returns how many of the likeliest stay."""
    ranked = np.asarray(ranked, dtype=np.float64)[: top_k or None]
    shares = np.exp(ranked - ranked.max())
    shares /= shares.sum()
    mass = 0.0
    for number, share in enumerate(shares, start=1):
        mass += share
        if mass >= top_p:
            return number
    return len(shares)


def exact_distribution(decoding):
    scaled = LOGITS.astype(np.float64) / decoding.temperature
    order = np.argsort(-scaled, kind="stable")
    order = order[: kept_by_numpy(scaled[order], decoding.top_k, decoding.top_p)]
    shares = np.zeros(len(LOGITS))
    shares[order] = np.exp(scaled[order] - scaled.max())
    return shares / shares.sum()


def chi_square(counts, shares):
    possible = shares > 0
    assert counts[~possible].sum() == 0
    expected = counts.sum() * shares[possible]
    return float(((counts[possible] - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(temperature=1),
        Decoding(temperature=0.6, seed=1),
        Decoding(temperature=3, seed=2),
        Decoding(temperature=1, top_k=3),
        Decoding(temperature=1, top_p=0.8),
        Decoding(temperature=1.5, top_k=5, top_p=0.7, seed=3),
    ],
    ids=str,
)
def test_draws_follow_the_exact_distribution(decoding):
    counts = np.bincount(draw(decoding), minlength=len(LOGITS))
    assert chi_square(counts, exact_distribution(decoding)) < FAR


def test_the_bound_on_draws_notices_a_slightly_wrong_distribution():
    counts = np.bincount(draw(Decoding(temperature=1)), minlength=len(LOGITS))
    assert chi_square(counts, exact_distribution(Decoding(temperature=1.05))) > FAR


def test_draws_at_two_positions_and_of_two_seeds_know_nothing_of_each_other():
    shares = exact_distribution(Decoding(temperature=1))
    first = draw(Decoding(temperature=1))
    for second in (draw(Decoding(temperature=1), count=1), draw(Decoding(temperature=1, seed=1))):
        pairs = np.bincount(first * len(LOGITS) + second, minlength=len(LOGITS) ** 2)
        # 63 degrees of freedom: above this once in 10,000.
        assert chi_square(pairs, np.outer(shares, shares).ravel()) < 114.0


def test_temperature_zero_takes_the_first_of_the_likeliest():
    logits = np.array([0.0, 7.0, 7.0, 1.0], dtype=np.float32)
    assert set(draw(Decoding(), rows=50, logits=logits)) == {1}


def test_one_likeliest_token_is_the_greedy_choice():
    assert set(draw(Decoding(temperature=5, top_k=1), rows=50)) == {0}
    assert set(draw(Decoding(temperature=5, top_p=1e-30), rows=50)) == {0}
    # Among equals the smaller id counts as the likelier one.
    assert set(draw(Decoding(temperature=1, top_k=1), rows=50, logits=np.zeros(9, np.float32))) == {0}


def test_limits_that_keep_every_token_change_no_draw():
    every = draw(Decoding(temperature=1), rows=500)
    assert (draw(Decoding(temperature=1, top_k=len(LOGITS)), rows=500) == every).all()


def test_the_coldest_temperature_and_the_widest_logits_give_ids():
    wide = np.array([-3e38, 3e38, 0.0, -np.inf], dtype=np.float32)
    for temperature in (0.001, 100):
        assert set(draw(Decoding(temperature=temperature), rows=50, logits=wide)) == {1}


def test_what_a_row_draws_is_its_own_whatever_its_company():
    sampler = make_sampler(Decoding(temperature=1, top_k=6, seed=9))
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(12, 40)).astype(np.float32)
    names = name_rows([[i, i + 1] for i in range(12)], 1)
    keys, counts = row_keys(sampler.seed, names), np.arange(12)
    together = choose(logits, keys, counts, sampler)
    order = rng.permutation(12)
    assert (choose(logits[order], keys[order], counts[order], sampler) == together[order]).all()
    alone = [
        int(choose(logits[i : i + 1], keys[i : i + 1], counts[i : i + 1], sampler)[0]) for i in range(12)
    ]
    assert alone == together.tolist()


def test_rows_are_named_by_prompt_and_number_and_a_repeated_prompt_counts_on():
    names = name_rows([[1, 2], [3], [1, 2]], 2)
    assert names.shape == (6, 3)
    assert names[:, 2].tolist() == [0, 1, 0, 1, 2, 3]
    assert (names[[0, 1, 4, 5], :2] == names[0, :2]).all()
    assert (names[2, :2] != names[0, :2]).any()
    assert (name_rows([[3]], 2) == names[2:4]).all()
    assert (name_rows([[1, 2]], 4) == names[[0, 1, 4, 5]]).all()


def test_other_settings_need_no_other_program():
    traced = []

    @jax.jit
    def counted(*args):
        traced.append(args)
        return choose_tokens(*args)

    keys = row_keys(np.uint32(0), name_rows([[1]], 2))
    for decoding in (
        Decoding(),
        Decoding(temperature=1),
        Decoding(temperature=0.3, top_k=4, top_p=0.5, seed=5),
    ):
        counted(jnp.zeros((2, 8)), keys, jnp.zeros(2, jnp.int32), make_sampler(decoding))
    assert len(traced) == 1


@settings(max_examples=150, deadline=None)
@given(
    logits=arrays.arrays(np.float32, (1, 12), elements=st.floats(-20, 20, width=32)),
    top_k=st.integers(0, 14),
    top_p=st.floats(0.001, 1),
)
def test_the_kept_tokens_are_those_of_a_plain_reference(logits, top_k, top_p):
    ranked = -np.sort(-logits)
    kept = np.asarray(keep(ranked, np.int32(top_k), np.float32(top_p)))[0]
    number = int(kept.sum())
    assert kept[:number].all()
    # fp32 may see a mass that lies on the border on its other side.
    fewest = kept_by_numpy(ranked[0], top_k, top_p - 1e-5)
    most = kept_by_numpy(ranked[0], top_k, top_p + 1e-5) if top_p < 1 else min(top_k or 12, 12)
    assert fewest <= number <= most
    if top_p == 1:
        assert number == most
