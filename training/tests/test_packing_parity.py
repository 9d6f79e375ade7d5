"""Loss and gradients of packed rows are those of the same traces alone, through the whole model."""

from functools import partial

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.config import make_config
from training.data import make_rows
from training.losses import cross_entropy
from training.model import Transformer
from training.model_config import preset
from training.tests.support import chain_examples


def loss_and_gradients(implementation, rows):
    """The sum of losses over all rows and its gradients, with the rows' own promises."""
    graph, params = nnx.split(
        Transformer(
            preset("nano"), dtype=jnp.dtype("float32"), implementation=implementation, rngs=nnx.Rngs(0)
        )
    )
    batch = rows.batch(np.arange(len(rows)))
    reach = None if batch.segments is None else rows.reach

    def loss(params):
        logits = nnx.merge(graph, params)(batch.inputs, segments=batch.segments, reach=reach)
        return cross_entropy(logits, batch.targets, batch.weights)[0]

    value, gradients = jax.jit(jax.value_and_grad(loss))(params)
    return np.asarray(value), [np.asarray(leaf) for leaf in jax.tree.leaves(gradients)], batch


@pytest.mark.parametrize("implementation", ["dense", "chunked"])
def test_packed_rows_have_the_loss_and_gradients_of_their_traces_alone(implementation):
    examples = chain_examples(3, length=2) + chain_examples(4, length=7) + chain_examples(3, length=4)
    rows = partial(make_rows, examples, content_hash="", cache_dir=None)
    packed = rows(make_config({"model": "nano", "sequence_length": 160}))
    padded = rows(make_config({"model": "nano", "sequence_length": 160, "packing": False}))
    loss, gradients, batch = loss_and_gradients(implementation, packed)
    loss_alone, gradients_alone, batch_alone = loss_and_gradients("dense", padded)
    assert len(packed) < len(padded)
    assert (batch.segments == 0).any()
    assert batch.weights.sum() == batch_alone.weights.sum()
    np.testing.assert_allclose(loss, loss_alone, rtol=1e-5)
    for ours, theirs in zip(gradients, gradients_alone, strict=True):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
