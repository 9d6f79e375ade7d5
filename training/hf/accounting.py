"""Whether tensors by their Hugging Face names are just those of a model. Imports no JAX."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from training.errors import ConfigError
from training.hf.names import Tensor, tensors_of
from training.model_config import ModelConfig

EMBEDDING: Final = "model.embed_tokens.weight"
HEAD: Final = "lm_head.weight"
_LISTED: Final = 5


def account(
    found: Mapping[str, tuple[int, ...]], shape: ModelConfig, *, head_repeats_embedding: Callable[[], bool]
) -> dict[str, Tensor]:
    """Match what a file has, as shapes by name, with what a model of this shape needs.

    Two kinds may be there without being used: the output matrix of a tied model when it equals the
    embedding, which is asked for only then, and stored rotary frequencies, which follow from the shape.

    Returns:
        The tensors that are used, by their names in the file.

    Raises:
        ConfigError: naming tensors that are missing, that nothing uses, or whose shape is another.
    """
    wanted = {tensor.theirs: tensor for tensor in tensors_of(shape)}
    spare = {name for name in found if name.endswith(".rotary_emb.inv_freq")}
    tied = shape.tied and HEAD in found and found.get(EMBEDDING) == found[HEAD]
    if tied and head_repeats_embedding():
        spare.add(HEAD)
    problems = _list("missing", wanted.keys() - found.keys())
    problems += _list("unexpected", found.keys() - wanted.keys() - spare)
    for theirs, tensor in wanted.items():
        if theirs in found and found[theirs] != tensor.shape:
            problems.append(f"{theirs} has shape {found[theirs]}, the config asks for {tensor.shape}")
    if problems:
        raise ConfigError(f"The tensors do not fit the config: {'; '.join(problems[:10])}.")
    return wanted


def _list(what: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return [f"{what}: {', '.join(ordered[:_LISTED])}{more}"] if ordered else []
