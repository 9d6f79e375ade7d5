import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
import optax

from training import averaging, finite
from training.optim import make_optimizer
from training.tests.support import fast_config

OPTIMIZERS = ["adamw", "adafactor", "lion", "muon", "sgd"]


def begin(name):
    params = {
        "embedding": jnp.linspace(-1, 1, 12).reshape(4, 3),
        "blocks": {"0": {"kernel": jnp.linspace(1, 2, 6).reshape(3, 2), "scale": jnp.array([-0.0, 1.0])}},
    }
    optimizer = make_optimizer(fast_config(optimizer=name))
    return optimizer, (params, optimizer.init(params), averaging.init(params))


def step(optimizer, state, gradients, skipped, in_row):
    def change(state):
        params, moments, average = state
        changes, moments = optimizer.update(gradients, moments, params)
        params = optax.apply_updates(params, optax.tree.scale(0.1, changes))
        return params, moments, averaging.update(average, params, 0.9)

    sound = finite.all_finite(jnp.float32(1), optax.tree.norm(gradients))
    return finite.change_if(sound, change, state), finite.count(sound, skipped, in_row)


def bits(tree):
    return [(leaf.dtype, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_one_bad_entry_leaves_every_bit_and_is_counted(name, bad):
    optimizer, state = begin(name)
    good = jax.tree.map(jnp.ones_like, state[0])
    update = jax.jit(lambda *given: step(optimizer, *given))
    counts = (jnp.int32(0), jnp.int32(0))
    state, counts = update(state, good, *counts)
    before = bits(state)
    broken = {**good, "embedding": good["embedding"].at[1, 2].set(bad)}
    for times in (1, 2):
        state, counts = update(state, broken, *counts)
        assert bits(state) == before
        assert [int(count) for count in counts] == [times, times]
    state, counts = update(state, good, *counts)
    assert bits(state) != before
    assert [int(count) for count in counts] == [2, 0]


def test_a_sound_update_is_taken_as_it_is():
    new, old = {"a": jnp.array([1.5, -0.0]), "none": None}, {"a": jnp.array([9.0, 9.0]), "none": None}
    assert bits(finite.change_if(jnp.array(True), lambda _: new, old)) == bits(new)
    assert not finite.all_finite(jnp.float32(1), jnp.array([1.0, jnp.nan]))
    assert finite.all_finite(jnp.float32(1), jnp.array([1.0, 2.0]))
