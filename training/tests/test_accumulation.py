import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np

from training.accumulation import accumulated_gradients
from training.losses import LossSums, chunked_cross_entropy

ROWS, WIDTH, VOCABULARY = 6, 5, 11


def task() -> tuple[dict[str, jax.Array], dict[str, jax.Array | None]]:
    """Rows with 5, 4, 3, 2, 0 and 0 supervised tokens."""
    keys = jax.random.split(jax.random.key(1), 4)
    params = {
        "table": jax.random.normal(keys[0], (VOCABULARY, 4)),
        "head": jax.random.normal(keys[1], (4, VOCABULARY)),
    }
    counts = jnp.array([5, 4, 3, 2, 0, 0])[:, None]
    batch = {
        "inputs": jax.random.randint(keys[2], (ROWS, WIDTH), 0, VOCABULARY),
        "targets": jax.random.randint(keys[3], (ROWS, WIDTH), 0, VOCABULARY),
        "weights": (jnp.arange(WIDTH)[None, :] < counts).astype(jnp.float32),
        "segments": None,
    }
    return params, batch


def loss_of(params, part, index):
    return chunked_cross_entropy(
        params["table"][part["inputs"]], params["head"], part["targets"], part["weights"], chunk=8
    )


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_of_unequal_weight_add_up_to_the_large_batch(parts):
    params, batch = task()

    def mean(params):
        sums = loss_of(params, batch, 0)
        return sums.objective / sums.weight

    sums, gradients = jax.jit(lambda p, b: accumulated_gradients(loss_of, p, b, micro_batches=parts))(
        params, batch
    )
    assert float(sums.weight) == 14
    assert float(sums.objective / sums.weight) == pytest.approx(float(mean(params)), rel=1e-6)
    expected = jax.grad(mean)(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), gradients, expected)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_batch_without_supervision_has_gradients_of_zero(parts):
    params, batch = task()
    batch["weights"] = jnp.zeros((ROWS, WIDTH))
    sums, gradients = accumulated_gradients(loss_of, params, batch, micro_batches=parts)
    assert float(sums.weight) == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_each_part_has_its_rows_in_order_and_its_number():
    batch = jnp.arange(6.0)

    def numbered(params, part, index):
        return LossSums(params * jnp.sum(part) * 10.0**index, jnp.float32(0), jnp.float32(1))

    _, gradient = accumulated_gradients(numbered, jnp.float32(1), batch, micro_batches=3)
    assert float(gradient) == pytest.approx((1 + 50 + 900) / 3)


def test_rows_that_do_not_split_are_refused():
    params, batch = task()
    with pytest.raises(ValueError, match="6 rows do not split into 4"):
        accumulated_gradients(loss_of, params, batch, micro_batches=4)
