import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax.numpy as jnp
import numpy as np

from training.optim import effective_warmup, learning_rate_schedule, make_optimizer
from training.tests.support import fast_config


def test_the_rate_rises_linearly_to_its_peak_and_falls_by_the_cosine():
    config = fast_config(steps=110, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-4)
    rate = learning_rate_schedule(config)
    np.testing.assert_allclose([rate(i) for i in range(10)], [1e-4 * (i + 1) for i in range(10)], rtol=1e-5)
    assert float(rate(10)) == pytest.approx(1e-3)
    assert float(rate(60)) == pytest.approx((1e-3 + 1e-4) / 2)
    assert float(rate(110)) == pytest.approx(1e-4)
    assert 1e-4 < float(rate(109)) < 1.03e-4


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10])
def test_short_runs_have_a_rate_above_zero_at_every_update(steps):
    config = fast_config(steps=steps, warmup_steps=100)
    assert effective_warmup(config) == steps // 4
    rate = learning_rate_schedule(config)
    assert all(0 < float(rate(i)) <= config.learning_rate * 1.0001 for i in range(steps))


def test_decay_shrinks_matrices_and_leaves_norm_scales_alone():
    config = fast_config(steps=1, warmup_steps=0, weight_decay=1.0, learning_rate=0.1, final_learning_rate=0)
    optimizer = make_optimizer(config)
    params = {"matrix": jnp.ones((2, 2)), "scale": jnp.ones(2)}
    zeros = {"matrix": jnp.zeros((2, 2)), "scale": jnp.zeros(2)}
    changes, _ = optimizer.update(zeros, optimizer.init(params), params)
    np.testing.assert_allclose(changes["matrix"], -0.1, rtol=1e-6)
    np.testing.assert_array_equal(changes["scale"], 0)
