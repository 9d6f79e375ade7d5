"""The peaks of a device as they are here and now: a large matrix product, and a copy."""

import time
from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

from training.bench.limits import Peaks, specified_peak

# Large enough that starting a product costs nothing beside it, small enough for any memory.
PRODUCT_SIZE: Final = {"cpu": 2048, "gpu": 8192}
COPY_BYTES: Final = {"cpu": 1 << 27, "gpu": 1 << 30}
REPEATS: Final = {"cpu": 5, "gpu": 20}


def measure_peaks(device: jax.Device, *, dtype: Any, device_name: str) -> Peaks:
    """Measure the best of several products of squares in ``dtype`` (FLOP/s) and of several copies (bytes/s).

    A copy reads and writes every byte, so it counts twice.
    """
    kind = "cpu" if device.platform == "cpu" else "gpu"
    size = PRODUCT_SIZE[kind]
    with jax.default_device(device):
        square = jnp.ones((size, size), dtype)
        flat = jnp.zeros((COPY_BYTES[kind] // 4,), jnp.float32)
        product = _fastest(jax.jit(jnp.matmul), square, square, repeats=REPEATS[kind])
        copy = _fastest(jax.jit(lambda array: array + 1.0), flat, repeats=REPEATS[kind])
    return Peaks(
        product=2.0 * size**3 / product,
        copy=2.0 * flat.nbytes / copy,
        specified_product=specified_peak(device_name, str(jnp.dtype(dtype))),
    )


def _fastest(work: Callable[..., jax.Array], *arrays: jax.Array, repeats: int) -> float:
    """Return the shortest time in seconds; the first call, which compiles, is not among them."""
    work(*arrays).block_until_ready()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work(*arrays).block_until_ready()
        times.append(time.perf_counter() - began)
    return min(times)
