import functools
from typing import Any

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.attention import Implementation, attend, block_size, causal_attention
from training.attention_kernels import first_visible_key, in_whole_blocks, segment_offsets

HERE: tuple[Implementation, ...] = ("dense", "chunked")  # what runs on every device


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def qkv(batch, time, heads=4, kv_heads=2, size=8):
    return draw(0, batch, time, heads, size), *(draw(i, batch, time, kv_heads, size) for i in (1, 2))


def row(time, *sizes):
    """Give the segment ids of one row of traces of these sizes, and padding."""
    ids = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    return np.pad(ids, (0, time - len(ids))).astype(np.int32)


@functools.cache
def compiled(implementation, **options):
    """One program for values at real positions and the gradients of a function of them alone."""

    def scalar(q, k, v, real, segments):
        mixed = causal_attention(q, k, v, implementation, segments=segments, **options)
        mixed = jnp.where(real[..., None, None], mixed, 0)
        return jnp.sum(jnp.sin(mixed)), mixed

    return jax.jit(jax.grad(scalar, argnums=(0, 1, 2), has_aux=True))


def output_and_gradients(implementation, q, k, v, real=None, *, segments=None, **options):
    real = jnp.ones(q.shape[:2], bool) if real is None else real
    gradients, mixed = compiled(implementation, **options)(q, k, v, real, segments)
    return mixed, *gradients


def assert_same(found, expected, tolerance=1e-5):
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)  # noqa: PLW2901 (as numpy)
        assert np.isfinite(ours).all()
        assert np.abs(ours - theirs).max() <= tolerance * max(np.abs(theirs).max(), 1e-6)


@pytest.mark.parametrize(("kv_heads", "time"), [(4, 40), (1, 131)])
def test_attention_in_blocks_equals_dense_attention_forward_and_backward(kv_heads, time):
    q, k, v = qkv(2, time, kv_heads=kv_heads)
    assert_same(output_and_gradients("chunked", q, k, v), output_and_gradients("dense", q, k, v))


def test_dense_attention_equals_the_one_that_jax_brings():
    q, k, v = qkv(2, 24)
    theirs = jax.jit(lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True))(q, k, v)
    assert_same([causal_attention(q, k, v, "dense")], [theirs])


def test_a_window_is_the_one_that_jax_means():
    q, k, v = qkv(2, 24)
    theirs = jax.nn.dot_product_attention(q, k, v, is_causal=True, local_window_size=(4, 0), scale=0.3)
    for name in HERE:
        assert_same([causal_attention(q, k, v, name, window=5, scale=0.3)], [theirs])


@pytest.mark.parametrize("implementation", HERE)
@pytest.mark.parametrize("sizes", [(50, 90, 40), (1, 64, 64)])
def test_a_packed_row_gives_each_trace_what_it_gets_alone(implementation, sizes):
    time, reach = 200, max(sizes)
    q, k, v = qkv(1, time)
    segments = jnp.asarray(row(time, *sizes))[None]
    packed = output_and_gradients(
        implementation, q, k, v, segments > 0, segments=segments, reach=reach, max_segments=len(sizes)
    )
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    alone = [output_and_gradients("dense", q[:, part], k[:, part], v[:, part]) for part in parts]
    # A trace of one position has no gradient but rounding, so the row as a whole is the measure.
    rows = [jnp.concatenate(each, axis=1) for each in zip(*alone, strict=True)]
    assert_same([x[:, : ends[-1]] for x in packed], rows)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_blocks_equal_dense_for_any_segments_reach_and_window(data):
    time, rows, longest = 150, [], 1
    for _ in range(2):
        sizes: list[int] = []
        while (left := time - sum(sizes)) and data.draw(st.booleans()):
            sizes.append(data.draw(st.integers(1, left)))
        rows.append(row(time, *sizes))
        longest = max([longest, *sizes])
    reach = 66 if longest <= 66 and data.draw(st.booleans()) else 150
    options = data.draw(st.sampled_from([{}, {"window": 70, "soft_cap": 2.0}]))
    segments = jnp.asarray(np.stack(rows))
    inputs = (*qkv(2, time, heads=2, kv_heads=1, size=4), segments > 0)
    found = output_and_gradients("chunked", *inputs, segments=segments, reach=reach, **options)
    assert_same(found, output_and_gradients("dense", *inputs, segments=segments, **options))


@pytest.mark.parametrize("implementation", HERE)
def test_neither_padding_nor_another_trace_has_an_influence(implementation):
    segments = jnp.asarray(np.stack([row(140, 60, 50), row(140, 100)]))
    q, k, v = qkv(2, 140)
    second = (segments == 2)[..., None, None]
    other = jnp.where(segments == 1, 0.0, 50.0)[..., None, None]

    def of_first(k, v):
        out = causal_attention(q, k, v, implementation, segments=segments, reach=100)
        return jnp.where((segments == 1)[..., None, None], out, 0)

    np.testing.assert_array_equal(of_first(k + other, v + other), of_first(k, v))
    gradient = jax.grad(lambda v: jnp.sum(of_first(k, v)))(v)
    assert not np.asarray(gradient)[np.broadcast_to(np.asarray(second), gradient.shape)].any()
    assert not np.asarray(gradient)[np.asarray(segments == 0)].any()


@pytest.mark.parametrize("implementation", HERE)
def test_a_row_of_padding_alone_is_finite_also_backward(implementation):
    q, k, v = qkv(1, 80)
    segments = jnp.zeros((1, 80), jnp.int32)
    for part in output_and_gradients(implementation, q, k, v, segments=segments, reach=4):
        assert np.isfinite(part).all()


def test_without_segments_a_reach_hides_nothing():
    q, k, v = qkv(1, 200)
    assert_same([causal_attention(q, k, v, "chunked", reach=5)], [causal_attention(q, k, v, "dense")], 1e-5)


def flops(time, **options):
    q, k, v = (jax.ShapeDtypeStruct((1, time, 2, 16), jnp.float32) for _ in range(3))
    segments = jax.ShapeDtypeStruct((1, time), jnp.int32)

    def run(q, k, v, segments):
        return causal_attention(q, k, v, segments=segments, **options)

    analysis: Any = jax.jit(run).lower(q, k, v, segments).compile().cost_analysis()
    return analysis["flops"]


def test_blocks_that_no_query_can_see_cost_nothing():
    dense = flops(512, implementation="dense")
    assert flops(512, implementation="chunked") < 0.65 * dense
    assert flops(512, implementation="chunked", reach=72) < 0.35 * dense
    assert flops(512, implementation="chunked", window=72) < 0.35 * dense


def test_a_long_row_is_cut_into_no_more_than_32_blocks():
    assert [block_size(time) for time in (1, 64, 512, 2048, 2049, 131072)] == [64, 64, 64, 64, 128, 4096]


def test_what_a_fused_kernel_cannot_do_is_an_error_and_never_left_out():
    q, k, v = qkv(1, 16)
    segments = jnp.ones((1, 16), jnp.int32)
    with pytest.raises(ValueError, match="takes no segments"):
        causal_attention(q, k, v, "cudnn", segments=segments)
    with pytest.raises(ValueError, match="cudnn attention cannot cap scores softly"):
        causal_attention(q, k, v, "cudnn", soft_cap=30.0)
    with pytest.raises(ValueError, match="cudnn_packed attention cannot cap scores softly"):
        causal_attention(q, k, v, "cudnn_packed", segments=segments, soft_cap=30.0)
    with pytest.raises(ValueError, match="triton attention cannot cap scores softly"):
        causal_attention(q, k, v, "triton", segments=segments, soft_cap=30.0)


def test_scores_are_scaled_and_capped_before_the_softmax():
    q, k, v = qkv(1, 6, heads=1, kv_heads=1)
    scores = 0.5 * np.einsum("bqnh,bsnh->bqs", q, k)
    scores = np.where(np.tril(np.ones((6, 6))), 2 * np.tanh(scores / 2), -np.inf)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = np.einsum("bqs,bsnh->bqnh", shares, v)
    mask = jnp.tril(jnp.ones((6, 6), bool))
    assert_same([attend(q, k, v, mask, scale=0.5, soft_cap=2.0)], [expected])
    assert_same([causal_attention(q, k, v, "dense", scale=0.5, soft_cap=2.0)], [expected])


@pytest.mark.parametrize("time", [40, 64])
def test_rows_filled_up_to_whole_blocks_give_the_same(time):
    q, k, v = qkv(1, time)
    segments = jnp.asarray(row(time, 13, 27))[None]
    widths = []

    def run(q, k, v, segments):
        widths.append(q.shape[1])
        return causal_attention(q, k, v, "dense", segments=segments)

    for given_segments in (None, segments):
        filled = in_whole_blocks(run, q, k, v, given_segments, size=32)
        assert_same([filled], [causal_attention(q, k, v, "dense", segments=given_segments)])
    assert widths == [64, 64]


def test_segments_become_sizes_and_offsets_with_padding_as_one_more():
    segments = jnp.asarray(np.stack([row(8, 3, 2), row(8, 8), row(8, 1, 1, 6)]))
    sizes, offsets = segment_offsets(segments, 4)
    assert sizes.tolist() == [[3, 2, 3, -1], [8, -1, -1, -1], [1, 1, 6, -1]]
    assert offsets.tolist() == [[0, 3, 5, -1, -1], [0, -1, -1, -1, -1], [0, 1, 2, -1, -1]]
    assert sizes.dtype == offsets.dtype == jnp.int32


def test_more_segments_than_promised_leave_a_row_that_does_not_add_up():
    sizes, _ = segment_offsets(jnp.asarray(row(8, 3, 2, 2))[None], 3)
    assert sizes.tolist() == [[3, 2, 2]]  # of eight positions; the kernel's wrapper makes such a row NaN


def test_the_first_visible_key_describes_the_same_mask():
    segments = jnp.asarray(np.stack([row(12, 5, 4), row(12, 12)]))
    positions = np.arange(12)
    for window in (None, 1, 3, 40):
        first = np.asarray(first_visible_key(segments, 12, window))
        mask = (positions[None, None] >= first[..., None]) & (positions[None, None] <= positions[:, None])
        same = np.asarray(segments)[:, :, None] == np.asarray(segments)[:, None, :]
        distance = positions[:, None] - positions[None, :]
        expected = same & (distance >= 0) & (distance < (window or 99))
        np.testing.assert_array_equal(mask, expected)
    assert first_visible_key(None, 12, None) is None
    assert np.asarray(first_visible_key(None, 4, 2)).tolist() == [[0, 0, 1, 2]]
