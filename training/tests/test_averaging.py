import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np

from training import averaging


def test_the_average_follows_its_formula():
    values = [5.0, 1.0, 2.0, 4.0, 8.0]
    average = averaging.init({"w": jnp.array([values[0]])})
    expected = values[0]
    for n, value in enumerate(values[1:]):
        average = averaging.update(average, {"w": jnp.array([value])}, 0.2)
        kept = min(0.2, (1 + n) / (10 + n))
        expected = kept * expected + (1 - kept) * value
        assert float(averaging.read(average)["w"][0]) == pytest.approx(expected, rel=1e-6)


def test_it_soon_forgets_the_random_start():
    average = averaging.init(jnp.float32(1000.0))
    for _ in range(20):
        average = averaging.update(average, jnp.float32(1.0), 0.999)
    assert float(averaging.read(average)) == pytest.approx(1.0, abs=1e-3)


def test_in_the_long_run_the_set_decay_holds():
    average = averaging.Average(jnp.float32(0), jnp.int32(10_000))
    average = averaging.update(average, jnp.float32(1), 0.99)
    assert float(averaging.read(average)) == pytest.approx(0.01, rel=1e-5)


def test_before_any_update_it_is_a_copy_in_fp32_with_memory_of_its_own():
    params = jnp.arange(3, dtype=jnp.float32)
    average = averaging.init(params)
    jax.jit(lambda x: x + 1, donate_argnums=0)(params)
    np.testing.assert_array_equal(averaging.read(average), [0, 1, 2])
    assert averaging.read(averaging.init(jnp.ones(2, jnp.bfloat16))).dtype == jnp.float32
