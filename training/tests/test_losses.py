from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np

from training.loss_chunks import loss_chunk
from training.losses import LossSums, chunked_cross_entropy, cross_entropy

ROWS, WIDTH, FEATURES, VOCABULARY = 3, 8, 5, 37
TOKENS = ROWS * WIDTH
TERMS: list[dict[str, Any]] = [
    {},
    {"z_loss": 1e-2},
    {"label_smoothing": 0.1},
    {"soft_cap": 2.0},
    {"z_loss": 1e-2, "label_smoothing": 0.1, "soft_cap": 2.0},
]


def task(dtype: Any = jnp.float32) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(0), 4)
    features = jax.random.normal(keys[0], (ROWS, WIDTH, FEATURES), dtype)
    matrix = jax.random.normal(keys[1], (FEATURES, VOCABULARY), dtype)
    targets = jax.random.randint(keys[2], (ROWS, WIDTH), 0, VOCABULARY)
    weights = jax.random.bernoulli(keys[3], 0.6, (ROWS, WIDTH)).astype(jnp.float32)
    return features, matrix, targets, weights


def plain(
    features: jax.Array,
    matrix: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
    soft_cap: float | None = None,
) -> LossSums:
    """Write the formula down as it stands, with all logits at once."""
    logits = (features @ matrix).astype(jnp.float32)
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    log_shares = jax.nn.log_softmax(logits)
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    wanted = jax.nn.one_hot(targets, VOCABULARY)
    spread = (1 - label_smoothing) * wanted + label_smoothing / VOCABULARY
    loss = -jnp.sum(wanted * log_shares, axis=-1)
    objective = -jnp.sum(spread * log_shares, axis=-1) + z_loss * normaliser**2
    return LossSums(jnp.sum(objective * weights), jnp.sum(loss * weights), jnp.sum(weights))


def mean_and_gradients(function: Any, *given: jax.Array, **options: Any) -> Any:
    def mean(features: jax.Array, matrix: jax.Array) -> tuple[jax.Array, LossSums]:
        sums = function(features, matrix, *given[2:], **options)
        return sums.objective / sums.weight, sums

    return jax.jit(jax.value_and_grad(mean, argnums=(0, 1), has_aux=True))(*given[:2])


@pytest.mark.parametrize("chunk", [1, 6, 7, 23, TOKENS, 100])
@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: "+".join(terms) or "plain")
def test_loss_and_gradients_equal_the_plain_version(chunk, terms):
    expected = mean_and_gradients(plain, *task(), **terms)
    found = mean_and_gradients(chunked_cross_entropy, *task(), chunk=chunk, **terms)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6), found, expected)


@pytest.mark.parametrize("chunk", [7, TOKENS])
def test_the_plain_loss_is_that_of_evaluation_and_has_no_smoothing_in_it(chunk):
    features, matrix, targets, weights = task()
    sums = chunked_cross_entropy(
        features, matrix, targets, weights, chunk=chunk, z_loss=0.1, label_smoothing=0.1
    )
    loss, weight = cross_entropy(features @ matrix, targets, weights)
    assert float(sums.loss) == pytest.approx(float(loss), rel=1e-6)
    assert float(sums.weight) == float(weight)
    assert float(sums.objective) > float(sums.loss)


def test_bf16_features_keep_fp32_statistics():
    features, matrix, targets, weights = task(jnp.bfloat16)
    sums = chunked_cross_entropy(features, matrix, targets, weights, chunk=7)
    exact = plain(features.astype(jnp.float32), matrix.astype(jnp.float32), targets, weights)
    assert all(part.dtype == jnp.float32 for part in sums)
    # Rounding the logits to bf16 would be off by some 1e-3.
    assert float(sums.loss) == pytest.approx(float(exact.loss), rel=1e-5)
    (_, _), gradients = mean_and_gradients(chunked_cross_entropy, *task(jnp.bfloat16), chunk=7)
    assert [leaf.dtype for leaf in gradients] == [jnp.bfloat16, jnp.bfloat16]


@pytest.mark.parametrize("chunk", [7, TOKENS])
def test_weights_of_zero_give_no_loss_and_no_gradients(chunk):
    features, matrix, targets, weights = task()

    def objective(x: jax.Array, m: jax.Array) -> tuple[jax.Array, LossSums]:
        sums = chunked_cross_entropy(x, m, targets, 0 * weights, chunk=chunk, z_loss=0.1, label_smoothing=0.1)
        return sums.objective, sums

    gradients, sums = jax.grad(objective, argnums=(0, 1), has_aux=True)(features, matrix)
    assert [float(part) for part in sums] == [0, 0, 0]
    assert not any(np.any(leaf) for leaf in gradients)


def test_only_the_objective_carries_a_gradient():
    features, matrix, targets, weights = task()
    slope = jax.grad(lambda x: chunked_cross_entropy(x, matrix, targets, weights, chunk=7).loss)(features)
    assert not np.any(slope)


@pytest.mark.parametrize(("chunk", "exist"), [(TOKENS, True), (7, False), (8, False)])
def test_full_logits_exist_only_where_one_chunk_holds_all_tokens(chunk, exist):
    features, matrix, targets, weights = task()

    def objective(x: jax.Array, m: jax.Array) -> jax.Array:
        return chunked_cross_entropy(x, m, targets, weights, chunk=chunk).objective

    program = jax.make_jaxpr(jax.value_and_grad(objective, argnums=(0, 1)))(features, matrix)
    assert (max(sizes(program.jaxpr)) >= TOKENS * VOCABULARY) is exist


def sizes(jaxpr: Any) -> Iterator[int]:
    """Yield the size of every value of a program, also inside of loops and calls."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.size for variable in equation.outvars)
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from sizes(inner)


def test_the_compiled_program_holds_no_full_logits():
    tokens, vocabulary = 512, 4096
    features, matrix = jnp.ones((1, tokens, 4)), jnp.ones((4, vocabulary))
    targets, weights = jnp.zeros((1, tokens), jnp.int32), jnp.ones((1, tokens))

    def temporaries(chunk: int) -> int:
        def objective(x: jax.Array, m: jax.Array) -> jax.Array:
            return chunked_cross_entropy(x, m, targets, weights, chunk=chunk).objective

        compiled = jax.jit(jax.value_and_grad(objective, argnums=(0, 1))).lower(features, matrix).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return int(analysis.temp_size_in_bytes)

    full = 4 * tokens * vocabulary
    assert temporaries(tokens) >= full
    assert temporaries(32) < full / 4


def test_the_chunk_is_as_asked_or_bounded_by_the_bytes_of_its_logits():
    assert loss_chunk(100, 260, 64) == 64
    assert loss_chunk(100, 260, 4096) == 100
    assert loss_chunk(0, 260, 65536) == 65536
    assert loss_chunk(0, 8192, 2048) == 2048
    assert loss_chunk(0, 152_000, 2048) == 410
    for tokens in (1, 999, 65536):
        chunk = loss_chunk(0, 152_000, tokens)
        assert 1 <= chunk <= tokens
        assert 4 * 152_000 * chunk <= 256 * 2**20
    assert loss_chunk(0, 2**30, 5) == 1
