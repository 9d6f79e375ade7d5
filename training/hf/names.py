"""Tensors by their Hugging Face names, and our parameters: one table for both directions. Imports no JAX."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from training.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class Name:
    """One kind of tensor in both worlds; ``{}`` is the number of the layer.

    Their matrices are (outputs, inputs), ours (inputs, outputs): such a tensor is ``transposed``.
    """

    theirs: str
    ours: str
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor that a model of some shape has: both names, and the shape of theirs.

    ``layer`` counts from 0 and is None outside of the blocks.
    """

    theirs: str
    ours: str
    shape: tuple[int, ...]
    transposed: bool
    layer: int | None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        product = 1
        for length in self.shape:
            product *= length
        return product


EMBEDDING: Final = "model.embed_tokens.weight"
HEAD: Final = "lm_head.weight"
_LAYER: Final = "model.layers.{}."
_COMMON: Final = (
    Name(EMBEDDING, "embedding"),
    Name("model.norm.weight", "norm.scale"),
    Name(HEAD, "output.kernel", transposed=True),
    Name(_LAYER + "input_layernorm.weight", "blocks.{}.attention_norm.scale"),
    Name(_LAYER + "self_attn.q_norm.weight", "blocks.{}.attention.q_norm.scale"),
    Name(_LAYER + "self_attn.k_norm.weight", "blocks.{}.attention.k_norm.scale"),
    *(
        Name(
            f"{_LAYER}self_attn.{theirs}_proj.{kind}", f"blocks.{{}}.attention.{ours}.{own}", kind == "weight"
        )
        for theirs, ours in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "out"))
        for kind, own in (("weight", "kernel"), ("bias", "bias"))
    ),
    *(
        Name(f"{_LAYER}mlp.{theirs}_proj.weight", f"blocks.{{}}.mlp.{ours}.kernel", transposed=True)
        for theirs, ours in (("gate", "gate"), ("up", "up"), ("down", "out"))
    ),
)
LLAMA_LIKE: Final = (
    *_COMMON,
    Name(_LAYER + "post_attention_layernorm.weight", "blocks.{}.mlp_norm.scale"),
)
# The same words mean another norm here: the one that follows attention.
GEMMA3: Final = (
    *_COMMON,
    Name(_LAYER + "post_attention_layernorm.weight", "blocks.{}.attention_post_norm.scale"),
    Name(_LAYER + "pre_feedforward_layernorm.weight", "blocks.{}.mlp_norm.scale"),
    Name(_LAYER + "post_feedforward_layernorm.weight", "blocks.{}.mlp_post_norm.scale"),
)


def tensors_of(shape: ModelConfig) -> list[Tensor]:
    """List every tensor that a model of this shape has, layer by layer."""
    sizes = _our_shapes(shape)
    found: list[Tensor] = []
    for name in GEMMA3 if shape.post_norms else LLAMA_LIKE:
        if (ours := sizes.get(name.ours)) is None:
            continue
        theirs = ours[::-1] if name.transposed else ours
        found.extend(
            Tensor(name.theirs.format(layer), name.ours.format(layer), theirs, name.transposed, layer)
            for layer in _layers(name, shape)
        )
    return found


def _layers(name: Name, shape: ModelConfig) -> Iterator[int | None]:
    yield from range(shape.layers) if "{}" in name.ours else (None,)


def _our_shapes(shape: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Give the shape of each of our parameters, by its name with ``{}`` for the layer."""
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    sizes: dict[str, tuple[int, ...]] = {
        "embedding": (shape.vocab_size, shape.width),
        "norm.scale": (shape.width,),
        "blocks.{}.attention_norm.scale": (shape.width,),
        "blocks.{}.mlp_norm.scale": (shape.width,),
        "blocks.{}.attention.q.kernel": (shape.width, queries),
        "blocks.{}.attention.k.kernel": (shape.width, keys),
        "blocks.{}.attention.v.kernel": (shape.width, keys),
        "blocks.{}.attention.out.kernel": (queries, shape.width),
        "blocks.{}.mlp.gate.kernel": (shape.width, shape.mlp_width),
        "blocks.{}.mlp.up.kernel": (shape.width, shape.mlp_width),
        "blocks.{}.mlp.out.kernel": (shape.mlp_width, shape.width),
    }
    if not shape.tied:
        sizes["output.kernel"] = (shape.width, shape.vocab_size)
    if shape.qkv_bias:
        sizes |= {
            "blocks.{}.attention.q.bias": (queries,),
            "blocks.{}.attention.k.bias": (keys,),
            "blocks.{}.attention.v.bias": (keys,),
        }
    if shape.out_bias:
        sizes["blocks.{}.attention.out.bias"] = (shape.width,)
    if shape.qk_norm:
        sizes |= {f"blocks.{{}}.attention.{one}_norm.scale": (shape.head_size,) for one in ("q", "k")}
    if shape.post_norms:
        sizes |= {f"blocks.{{}}.{one}_post_norm.scale": (shape.width,) for one in ("attention", "mlp")}
    return sizes
