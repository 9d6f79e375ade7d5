"""From a Hugging Face ``config.json`` to the shape of our model. Imports no JAX.

Both spellings are read: ``rope_theta``/``rope_scaling``/``rope_local_base_freq`` of older files
and ``rope_parameters`` of transformers 5. The stored type (``torch_dtype`` or ``dtype``) has no
say in the shape: our parameters are fp32.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from training.errors import ConfigError
from training.model_config import ModelConfig

_ACTIVATIONS: Final = {"silu": "silu", "gelu_pytorch_tanh": "gelu_tanh"}


@dataclass(frozen=True, slots=True)
class Family:
    """What all models of a family share, and what a key means where the file leaves it out."""

    fixed: Mapping[str, Any] = field(default_factory=dict)
    head_size: int | None = None  # None: width / heads
    tied: bool = False
    theta: float = 10_000.0
    local_theta: float | None = None
    has_windows: bool = False


FAMILIES: Final[dict[str, Family]] = {
    "llama": Family(),
    "qwen2": Family(fixed={"qkv_bias": True}, has_windows=True),
    "qwen3": Family(fixed={"qk_norm": True}, head_size=128, has_windows=True),
    "gemma3_text": Family(
        fixed={"qk_norm": True, "post_norms": True, "unit_offset": True, "embedding_scale": True},
        head_size=256,
        tied=True,
        theta=1_000_000.0,
        local_theta=10_000.0,
        has_windows=True,
    ),
}
# Keys that, when set, change what the model computes in a way that ours cannot.
_UNSUPPORTED: Final = ("mlp_bias", "use_bidirectional_attention", "quantization_config")


def model_config_from_hf(config: Mapping[str, Any]) -> ModelConfig:
    """Read the content of a ``config.json``.

    Raises:
        ConfigError: for a family we do not know, a feature that our model lacks, a missing key
            or a bad value, by name.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        hint = " (of gemma3 only the text models, gemma3_text)" if kind == "gemma3" else ""
        raise ConfigError(
            f"config.json: model_type {kind!r} is not supported{hint}; known are {', '.join(FAMILIES)}."
        )
    family = FAMILIES[kind]
    for key in _UNSUPPORTED:
        if config.get(key):
            raise ConfigError(f"config.json: {key}={config[key]!r} is not supported.")
    heads, width, layers = (
        _whole(config, key) for key in ("num_attention_heads", "hidden_size", "num_hidden_layers")
    )
    biases = (
        {}
        if kind == "qwen2"
        else dict.fromkeys(("qkv_bias", "out_bias"), _get(config, "attention_bias", False))
    )
    values = {
        "layers": layers,
        "width": width,
        "heads": heads,
        "kv_heads": _whole(config, "num_key_value_heads", heads),
        "head_size": _whole(config, "head_dim", family.head_size or width // heads),
        "mlp_width": _whole(config, "intermediate_size"),
        "vocab_size": _whole(config, "vocab_size"),
        "tied": _get(config, "tie_word_embeddings", family.tied),
        "norm_epsilon": _get(config, "rms_norm_eps", 1e-6),
        "activation": _activation(config),
        **biases,
        **family.fixed,
        **_windows(config, family, layers),
    }
    values |= _rotary(config, family, windowed="window" in values)
    if kind == "gemma3_text":
        scalar = _get(config, "query_pre_attn_scalar", 256)
        if not isinstance(scalar, int | float) or scalar <= 0:
            raise ConfigError(f"config.json: query_pre_attn_scalar must be above 0, not {scalar!r}.")
        values["attention_scale"] = scalar**-0.5
        values["attention_soft_cap"] = config.get("attn_logit_softcapping")
        values["final_soft_cap"] = config.get("final_logit_softcapping")
    try:
        return ModelConfig.model_validate(values)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, finding['loc'])) or 'shape'}: {finding['msg']}" for finding in error.errors()
        )
        raise ConfigError(f"config.json describes a model that cannot be built: {found}.") from error


def _get(config: Mapping[str, Any], key: str, default: Any) -> Any:
    value = config.get(key)
    return default if value is None else value


def _whole(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = _get(config, key, default)
    if value is None:
        raise ConfigError(f"config.json: {key} is missing.")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"config.json: {key} must be a whole number above 0, not {value!r}.")
    return value


def _activation(config: Mapping[str, Any]) -> str:
    key = "hidden_activation" if config["model_type"] == "gemma3_text" else "hidden_act"
    default = "gelu_pytorch_tanh" if config["model_type"] == "gemma3_text" else "silu"
    name = _get(config, key, default)
    if name not in _ACTIVATIONS:
        raise ConfigError(
            f"config.json: {key}={name!r} is not supported; known are {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]


def _windows(config: Mapping[str, Any], family: Family, layers: int) -> dict[str, Any]:
    """Read which layers have a sliding window; ours can only leave out each layer of a multiple."""
    kinds = config.get("layer_types") or _older_layer_types(config, family, layers)
    if len(kinds) != layers or set(kinds) - {"sliding_attention", "full_attention"}:
        raise ConfigError(
            f"config.json: layer_types must name sliding_attention or full_attention for each of "
            f"{layers} layers, not {kinds!r}."
        )
    if "sliding_attention" not in kinds:
        return {}
    every = kinds.index("full_attention") + 1 if "full_attention" in kinds else 0
    if any((kinds[i] == "full_attention") != bool(every and (i + 1) % every == 0) for i in range(layers)):
        raise ConfigError(
            "config.json: only layers without a window at each multiple of a number are supported, "
            f"not the layer_types {kinds!r}."
        )
    default = 4096 if family.local_theta is not None else None
    return {"window": _whole(config, "sliding_window", default), "global_every": every}


def _older_layer_types(config: Mapping[str, Any], family: Family, layers: int) -> list[str]:
    if not family.has_windows:
        return ["full_attention"] * layers
    if family.local_theta is not None:
        every = _whole(config, "sliding_window_pattern", _whole(config, "_sliding_window_pattern", 6))
        return ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(layers)]
    first = _get(config, "max_window_layers", 28) if config.get("use_sliding_window") else layers
    return ["sliding_attention" if i >= first else "full_attention" for i in range(layers)]


def _rotary(config: Mapping[str, Any], family: Family, *, windowed: bool) -> dict[str, Any]:
    given = config.get("rope_parameters")
    if given is None:
        everywhere = dict(config.get("rope_scaling") or {})
        local = {"rope_theta": _get(config, "rope_local_base_freq", family.local_theta)}
    elif "full_attention" in given or "sliding_attention" in given:
        everywhere = given.get("full_attention") or {}
        local = given.get("sliding_attention") or {}
    else:
        everywhere, local = given, {}
    theta = _get(everywhere, "rope_theta", _get(config, "rope_theta", family.theta))
    values = {"rope_theta": theta, "rope_scaling": _scaling(everywhere)}
    if windowed and family.local_theta is not None:
        if _scaling(local) is not None:
            raise ConfigError("config.json: scaled rotary positions in sliding layers are not supported.")
        values["local_rope_theta"] = _get(local, "rope_theta", family.local_theta)
    return values


def _scaling(rope: Mapping[str, Any]) -> dict[str, Any] | None:
    if _get(rope, "partial_rotary_factor", 1.0) != 1.0:
        raise ConfigError("config.json: partial_rotary_factor other than 1 is not supported.")
    kind = _get(rope, "rope_type", _get(rope, "type", "default"))
    if kind == "default":
        return None
    keys = {
        "linear": {"factor": "factor"},
        "llama3": {
            "factor": "factor",
            "low_frequency": "low_freq_factor",
            "high_frequency": "high_freq_factor",
            "original_length": "original_max_position_embeddings",
        },
    }.get(kind)
    if keys is None:
        raise ConfigError(
            f"config.json: rope_type {kind!r} is not supported; known are default, linear, llama3."
        )
    missing = [theirs for theirs in keys.values() if theirs not in rope]
    if missing:
        raise ConfigError(f"config.json: rope_type {kind!r} lacks {', '.join(missing)}.")
    return {"kind": kind, **{ours: rope[theirs] for ours, theirs in keys.items()}}
