"""Which attention runs: what each implementation needs, and one trial on the device before training."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from training.attention import Implementation, causal_attention
from training.attention_kernels import tokamax_obstacle
from training.errors import ConfigError
from training.model_config import ModelConfig

# An attention: queries, keys, values and segments (None: one trace a row) to the mixed values.
Attention = Callable[[jax.Array, jax.Array, jax.Array, jax.Array | None], jax.Array]

_PROBE_LENGTH: Final = 256
_PROBE_WINDOW: Final = 24
# Largest difference from dense attention on the same rounded inputs, as a share of the largest
# number. bf16 keeps 8 bits, so that one rounding is 0.4 %; a mask left out shows as 30 % and more.
_PROBE_TOLERANCE: Final = 0.04


@dataclass(frozen=True, slots=True)
class AttentionChoice:
    """The implementation that runs and why it was taken; ``fallback`` marks a second choice."""

    name: Implementation
    reason: str
    fallback: bool = False


class Needs(NamedTuple):
    """What attention is wanted for.

    ``windows`` holds the window of each kind of layer (None: all the past), ``max_segments``
    the traces in the fullest packed row, None where nobody said.
    """

    device: jax.Device
    dtype: jnp.dtype
    heads: int
    kv_heads: int
    head_size: int
    length: int
    packed: bool
    windows: tuple[int | None, ...]
    soft_cap: float | None
    max_segments: int | None


@dataclass(frozen=True, slots=True)
class _Requirements:
    """What an implementation can do at all; `obstacle` holds it against what is wanted."""

    gpu: bool = False
    capability: tuple[int, int] = (0, 0)
    half_precision: bool = False
    head_multiple: int = 1
    packed_rows: bool = True
    plain_rows: bool = True
    soft_cap: bool = True
    bounded_segments: bool = False
    library: Callable[[], str] = str

    def obstacle(self, needs: Needs) -> str:
        """Say in one sentence what stands in the way; empty when nothing does."""
        return next(filter(None, self._obstacles(needs)), "")

    def _obstacles(self, needs: Needs) -> Iterator[str]:
        capability = _capability(needs.device)
        largest = 256 if capability >= (9, 0) else 128
        if self.gpu and needs.device.platform != "gpu":
            yield f"it needs an NVIDIA GPU, this is {needs.device.platform}"
        if capability < self.capability:
            yield f"it needs compute capability {_dotted(self.capability)}, this is {_dotted(capability)}"
        if self.half_precision and needs.dtype not in (jnp.bfloat16, jnp.float16):
            yield f"it needs bf16 or fp16, this is {needs.dtype}"
        if self.gpu and (needs.head_size % self.head_multiple or needs.head_size > largest):
            yield (
                f"it needs a head size up to {largest} that {self.head_multiple} divides, "
                f"this is {needs.head_size}"
            )
        if needs.packed and not self.packed_rows:
            yield "it cannot keep the traces of a packed row apart"
        if not needs.packed and not self.plain_rows:
            yield "it is for packed rows, and these hold one trace each"
        if needs.soft_cap is not None and not self.soft_cap:
            yield "it cannot cap scores softly"
        if needs.max_segments is None and self.bounded_segments:
            yield "it needs to know how many traces a row holds at most"
        yield self.library()


REQUIREMENTS: Final[dict[Implementation, _Requirements]] = {
    "dense": _Requirements(),
    "chunked": _Requirements(),
    "cudnn": _Requirements(
        gpu=True,
        capability=(8, 0),
        half_precision=True,
        head_multiple=8,
        packed_rows=False,
        soft_cap=False,
    ),
    "cudnn_packed": _Requirements(
        gpu=True,
        capability=(9, 0),
        half_precision=True,
        head_multiple=8,
        plain_rows=False,
        soft_cap=False,
        bounded_segments=True,
    ),
    # Its forward pass can cap scores, its backward pass cannot.
    "triton": _Requirements(
        gpu=True,
        capability=(8, 0),
        half_precision=True,
        head_multiple=16,
        soft_cap=False,
        library=tokamax_obstacle,
    ),
}
# The order in which they are tried where it is left to us.
_ON_GPU: Final[tuple[Implementation, ...]] = ("cudnn_packed", "cudnn", "triton")


def choose_attention(
    *,
    wanted: str,
    device: jax.Device,
    dtype: jnp.dtype,
    shape: ModelConfig,
    packed: bool,
    batch: int,
    length: int,
    windows: Sequence[int | None] = (None,),
    soft_cap: float | None = None,
    max_segments: int | None = None,
) -> AttentionChoice:
    """Choose once, before training; a fused kernel is first tried on the device.

    ``batch`` and ``length`` are rows computed at once and positions of a row. The reason says
    why nothing better was taken.

    Raises:
        ConfigError: when a certain implementation is wanted and cannot run here.
    """
    needs = Needs(
        device=device,
        dtype=jnp.dtype(dtype),
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_size=shape.head_size,
        length=length,
        packed=packed,
        windows=tuple(dict.fromkeys(windows)),
        soft_cap=soft_cap,
        max_segments=max_segments,
    )
    if wanted != "auto":
        return _forced(wanted, needs)
    if device.platform == "cpu":
        return AttentionChoice("chunked", "skips blocks that nothing can see; the fastest on a CPU")
    refused: list[str] = []
    for name in _ON_GPU:
        if not (why := obstacle(name, needs)):
            return AttentionChoice(name, "; ".join(["fused kernel, compared on this device", *refused]))
        refused.append(f"{name}: {why}")
    scores = batch * shape.heads * length * length * 4 / 2**30
    reason = f"no fused kernel runs here, so a layer's scores take {scores:.2g} GiB; {'; '.join(refused)}"
    return AttentionChoice("dense", reason, fallback=True)


def obstacle(name: Implementation, needs: Needs) -> str:
    """Say why an implementation cannot be used: by its requirements, else by a trial on the device."""
    why = REQUIREMENTS[name].obstacle(needs)
    if why or not REQUIREMENTS[name].gpu:
        return why
    # A model that trains on packed rows is evaluated on rows of one trace each.
    for layout in dict.fromkeys((needs.packed, False)):
        for wanted in needs.windows:
            # Short enough to hide something in the example.
            window = None if wanted is None else min(wanted, _PROBE_WINDOW)
            tried = needs._replace(packed=layout)
            if why := difference(_bound(name, tried, window), _bound("dense", tried, window), tried):
                return why
    return ""


def difference(attention: Attention, dense: Attention, needs: Needs) -> str:
    """Compare an attention with dense attention, forward and backward, on a small example.

    The example is packed where the rows are. Returns what is wrong, an exception included; an
    empty text when the results agree at all real positions.
    """
    length = min(needs.length, _PROBE_LENGTH)
    segments = jnp.asarray(_probe_segments(length, needs.max_segments)) if needs.packed else None
    source = np.random.default_rng(0)

    def draw(*shape: int) -> NDArray[np.float32]:
        return source.standard_normal(shape, np.float32)

    q = draw(2, length, needs.heads, needs.head_size)
    k, v = (draw(2, length, needs.kv_heads, needs.head_size) for _ in range(2))
    # What comes out at padding is of no meaning and reaches no loss.
    real = np.ones((2, length), bool) if segments is None else np.asarray(segments) > 0
    g = draw(*q.shape) * real[..., None, None]

    def results(run: Attention, dtype: Any) -> list[Any]:
        def both(q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, ...]:
            out, back = jax.vjp(lambda q, k, v: run(q, k, v, segments), q, k, v)
            return jnp.where(real[..., None, None], out, 0), *back(jnp.asarray(g, out.dtype))

        # Both see the same rounded numbers; the reference computes on them in fp32.
        rounded = [jnp.asarray(x, needs.dtype).astype(dtype) for x in (q, k, v)]
        return [np.asarray(x, np.float32) for x in jax.device_get(jax.jit(both)(*rounded))]

    try:
        with jax.default_device(needs.device):
            found, expected = results(attention, needs.dtype), results(dense, jnp.float32)
    except Exception as error:  # a kernel refuses in many ways, and each must end in a sentence
        return " ".join(str(error).split())[:300] or type(error).__name__
    for part, ours, theirs in zip(("output", "dq", "dk", "dv"), found, expected, strict=True):
        share = float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))
        if not share <= _PROBE_TOLERANCE:
            return f"its {part} differs from dense attention by {share:.1%} on a trial"
    return ""


def _forced(wanted: str, needs: Needs) -> AttentionChoice:
    names: dict[str, Implementation] = {name: name for name in REQUIREMENTS}
    name = names[wanted]
    if not (why := obstacle(name, needs)):
        return AttentionChoice(name, "asked for")
    able = [other for other in REQUIREMENTS if other != name and not REQUIREMENTS[other].obstacle(needs)]
    raise ConfigError(f"attention={name} cannot run here: {why}. Use attention=auto or {' or '.join(able)}.")


def _bound(name: Implementation, needs: Needs, window: int | None) -> Attention:
    def run(q: jax.Array, k: jax.Array, v: jax.Array, segments: jax.Array | None) -> jax.Array:
        return causal_attention(
            q,
            k,
            v,
            name,
            segments=segments,
            max_segments=needs.max_segments,
            window=window,
            soft_cap=needs.soft_cap,
        )

    return run


def _probe_segments(length: int, max_segments: int | None) -> NDArray[np.int32]:
    """Two rows: one full, one that ends in padding, with no more traces than are promised."""
    most = 3 if max_segments is None else max(1, min(3, max_segments))
    full = np.arange(length) * most // length + 1
    rest = length - length // 8
    padded = np.where(np.arange(length) < rest, np.minimum(np.arange(length) * 3 // length + 1, most), 0)
    return np.stack([full, padded]).astype(np.int32)


def _capability(device: jax.Device) -> tuple[int, int]:
    major, _, minor = str(getattr(device, "compute_capability", "0.0")).partition(".")
    return int(major or 0), int(minor or 0)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
