"""Tensors by their Hugging Face names, and our parameters: one map for both directions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.assembly import named_leaves
from training.errors import ConfigError
from training.model import Transformer
from training.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class Name:
    """One tensor in both worlds; ``{}`` is the number of the layer. Their matrices are (outputs, inputs)."""

    theirs: str
    ours: str
    transposed: bool = False


_LAYER: Final = "model.layers.{}."
_COMMON: Final = (
    Name("model.embed_tokens.weight", "embedding"),
    Name("model.norm.weight", "norm.scale"),
    Name("lm_head.weight", "output.kernel", transposed=True),
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


def params_from_hf(tensors: Mapping[str, np.ndarray], shape: ModelConfig) -> nnx.State[Any, Any]:
    """Turn tensors into fp32 parameters of an unscanned `Transformer`, still on the host.

    Every tensor is accounted for. Two may be there without being used: the output matrix of a
    tied model when it equals the embedding, and stored rotary frequencies, which follow from the shape.

    Raises:
        ConfigError: naming tensors that are missing, that nothing uses, or whose shape is another.
    """
    wanted, described = _wanted(shape)
    spare = {name for name in tensors if _is_spare(name, tensors, shape)}
    problems = _list("missing", wanted.keys() - tensors.keys())
    problems += _list("unexpected", tensors.keys() - wanted.keys() - spare)
    for theirs, (name, leaf) in wanted.items():
        expected = leaf.shape[::-1] if name.transposed else leaf.shape
        if theirs in tensors and tensors[theirs].shape != expected:
            problems.append(f"{theirs} has shape {tensors[theirs].shape}, the config asks for {expected}")
    if problems:
        raise ConfigError(f"The tensors do not fit the config: {'; '.join(problems[:10])}.")
    arrays = []
    for theirs, (name, _) in wanted.items():
        array = np.asarray(tensors[theirs], dtype=np.float32)
        arrays.append(np.ascontiguousarray(array.T) if name.transposed else array)
    params: nnx.State[Any, Any] = jax.tree.unflatten(jax.tree.structure(described), arrays)
    return params


def params_to_hf(params: nnx.State[Any, Any], shape: ModelConfig) -> dict[str, np.ndarray]:
    """Turn parameters of an unscanned `Transformer` into tensors by their Hugging Face names, in fp32."""
    leaves = named_leaves(params)
    found = {}
    for theirs, (name, ours) in _names(leaves, shape).items():
        array = np.asarray(leaves[ours], dtype=np.float32)
        found[theirs] = np.ascontiguousarray(array.T) if name.transposed else array
    return found


def _wanted(shape: ModelConfig) -> tuple[dict[str, tuple[Name, jax.ShapeDtypeStruct]], Any]:
    """Describe all tensors of the shape, in the order of our parameters."""

    def make() -> Transformer:
        return Transformer(
            shape,
            dtype=jnp.dtype(jnp.float32),
            implementation="dense",
            rngs=nnx.Rngs(params=jax.random.key(0)),
        )

    described = nnx.split(nnx.eval_shape(make))[1]
    leaves = named_leaves(described)
    return {theirs: (name, leaves[ours]) for theirs, (name, ours) in _names(leaves, shape).items()}, described


def _names(leaves: Iterable[str], shape: ModelConfig) -> dict[str, tuple[Name, str]]:
    """Map their names of our leaves to the entry of the table and our name."""
    table = {name.ours: name for name in (GEMMA3 if shape.post_norms else LLAMA_LIKE)}
    found = {}
    for ours in leaves:
        head, *rest = ours.split(".")
        in_layer = head == "blocks"
        name = table[".".join([head, "{}", *rest[1:]])] if in_layer else table[ours]
        found[name.theirs.format(rest[0]) if in_layer else name.theirs] = (name, ours)
    return found


def _is_spare(name: str, tensors: Mapping[str, np.ndarray], shape: ModelConfig) -> bool:
    if name.endswith(".rotary_emb.inv_freq"):
        return True
    if not shape.tied or name != "lm_head.weight" or "model.embed_tokens.weight" not in tensors:
        return False
    return np.array_equal(tensors[name], tensors["model.embed_tokens.weight"])


def _list(what: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return [f"{what}: {', '.join(ordered[:5])}{more}"] if ordered else []
