import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.assembly import abstract_state, assemble, first_state
from training.leaves import named_leaves
from training.linear import matmul
from training.losses import cross_entropy
from training.model import Transformer
from training.model_config import PRESETS, ModelConfig, parameter_count
from training.tests.support import fast_config


@pytest.fixture(scope="module")
def cpu():
    return jax.devices("cpu")[0]


@pytest.fixture(scope="module")
def nano(cpu):
    assembly = assemble(fast_config(), cpu)
    return assembly.model(first_state(assembly).params)


@pytest.fixture(scope="module")
def deep():
    """Two layers, grouped heads."""
    shape = ModelConfig(layers=2, width=24, heads=4, kv_heads=2, head_size=8, mlp_width=40)
    return nnx.jit(
        lambda: Transformer(shape, dtype=jnp.dtype("float32"), implementation="chunked", rngs=nnx.Rngs(0))
    )()


def draw(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize("name", PRESETS)
def test_the_counted_parameters_are_the_real_ones(name, cpu):
    leaves = named_leaves(abstract_state(assemble(fast_config(model=name), cpu)).params)
    assert sum(leaf.size for leaf in leaves.values()) == parameter_count(PRESETS[name])
    assert {str(leaf.dtype) for leaf in leaves.values()} == {"float32"}


def test_the_product_has_the_gradients_of_autodiff():
    x, kernel = draw(0, 2, 3, 5), draw(1, 5, 7)

    def gradients(product):
        return jax.grad(lambda x, kernel: jnp.sum(jnp.cos(product(x, kernel))), argnums=(0, 1))(x, kernel)

    for ours, theirs in zip(gradients(matmul), gradients(jnp.matmul), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_no_position_sees_a_later_one(nano):
    tokens = jnp.arange(24)[None, :] % 250
    changed = tokens.at[0, 15].set(99)
    run = nnx.jit(nano)
    before, after = run(tokens), run(changed)
    np.testing.assert_array_equal(before[:, :15], after[:, :15])
    assert not np.allclose(before[:, 15:], after[:, 15:])


def test_logits_from_the_cache_equal_those_of_the_training_pass(deep):
    sizes = jnp.array([5, 12, 16])
    tokens = jax.random.randint(jax.random.key(1), (3, 28), 0, 256)
    full = nnx.jit(deep)(tokens)
    prompts = jnp.where(jnp.arange(16)[None, :] < sizes[:, None], tokens[:, :16], 256)
    rows = jnp.arange(3)
    decode = nnx.jit(Transformer.decode)
    logits, caches = nnx.jit(Transformer.prefill, static_argnums=3)(deep, prompts, sizes, 32)
    for i in range(12):
        positions = sizes + i
        np.testing.assert_allclose(logits, full[rows, positions - 1], rtol=1e-4, atol=1e-5)
        logits, caches = decode(deep, tokens[rows, positions], positions, caches)


def test_computing_in_bf16_keeps_parameters_and_logits_in_fp32(cpu):
    assembly = assemble(fast_config(precision="bf16"), cpu)
    state = first_state(assembly)
    exact = assemble(fast_config(), cpu).model(state.params)(jnp.arange(16)[None])
    rounded = assembly.model(state.params)(jnp.arange(16)[None])
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, atol=0.05)


def test_the_loss_is_a_sum_and_a_weight_so_that_parts_add_up():
    logits, targets = draw(0, 4, 6, 11), jnp.arange(24).reshape(4, 6) % 11
    weights = (jnp.arange(24).reshape(4, 6) % 3 == 0).astype(jnp.float32)
    whole = cross_entropy(logits, targets, weights)
    parts = [cross_entropy(logits[i], targets[i], weights[i]) for i in range(4)]
    np.testing.assert_allclose(whole, np.sum(parts, axis=0), rtol=1e-6)
    shares = jax.nn.softmax(logits)
    by_hand = -sum(
        float(jnp.log(shares[i, j, targets[i, j]])) for i in range(4) for j in range(6) if weights[i, j]
    )
    assert float(whole[0]) == pytest.approx(by_hand, rel=1e-5)
    assert float(whole[1]) == 8
