"""The shapes of the model and the presets that a recipe can name. Imports no JAX."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.errors import ConfigError

_Size = Annotated[int, Field(ge=1, le=2**24)]
_Positive = Annotated[float, Field(gt=0, le=1e9)]
_Base = Annotated[float, Field(gt=1, le=1e12)]

# The byte tokenizer uses 258 ids; a multiple of four keeps the rows of the table aligned.
BYTE_VOCABULARY: Final = 260


class LinearRope(BaseModel):
    """Positions divided by a factor (Chen et al., arXiv 2306.15595)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["linear"] = "linear"
    factor: _Positive = Field(description="by how much all waves are stretched")


class Llama3Rope(BaseModel):
    """Long waves stretched, short ones kept, a ramp between (Llama 3.1, arXiv 2407.21783).

    A wave counts as long when it fits fewer than ``low_frequency`` times into
    ``original_length`` positions, as short when more than ``high_frequency`` times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["llama3"] = "llama3"
    factor: _Positive = Field(description="by how much long waves are stretched")
    low_frequency: _Positive = Field(description="turns below which a wave is long")
    high_frequency: _Positive = Field(description="turns above which a wave is short")
    original_length: _Size = Field(description="positions that the model was first trained on")

    @model_validator(mode="after")
    def _the_ramp_rises(self) -> Self:
        if self.high_frequency <= self.low_frequency:
            raise ValueError(
                f"high_frequency ({self.high_frequency}) must be above low_frequency ({self.low_frequency})"
            )
        return self


class ModelConfig(BaseModel):
    """A decoder-only transformer with RMSNorm, rotary positions, grouped queries and a gated MLP.

    The defaults are the plain form that the presets use; the rest is what the llama, qwen2,
    qwen3 and gemma3 families add to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layers: _Size = Field(description="transformer blocks")
    width: _Size = Field(description="size of the residual stream")
    heads: _Size = Field(description="query heads")
    kv_heads: _Size = Field(description="key and value heads; each serves heads / kv_heads query heads")
    head_size: _Size = Field(description="size of one head, even")
    mlp_width: _Size = Field(description="inner size of the gated MLP")
    vocab_size: _Size = Field(default=BYTE_VOCABULARY, description="rows of the embedding table")
    tied: bool = Field(default=True, description="the embedding table also gives the logits")

    rope_theta: _Base = Field(default=10_000.0, description="base of the rotary wave lengths")
    rope_scaling: Annotated[LinearRope | Llama3Rope, Field(discriminator="kind")] | None = Field(
        default=None, description="how the waves of rope_theta are stretched for long texts"
    )
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1e-6, description="added to the mean square"
    )
    activation: Literal["silu", "gelu_tanh"] = Field(default="silu", description="of the gate of the MLP")

    qkv_bias: bool = Field(default=False, description="queries, keys and values have a bias")
    out_bias: bool = Field(default=False, description="the output of attention has a bias")
    qk_norm: bool = Field(default=False, description="queries and keys are normalised before they are turned")
    post_norms: bool = Field(
        default=False, description="what attention and MLP add is normalised, four norms a block"
    )
    unit_offset: bool = Field(default=False, description="norms multiply by 1 + scale, which starts at 0")
    embedding_scale: bool = Field(
        default=False, description="embeddings are multiplied by the square root of the width"
    )

    attention_scale: _Positive | None = Field(
        default=None, description="factor of the attention scores; none: head_size ** -0.5"
    )
    attention_soft_cap: _Positive | None = Field(
        default=None, description="attention scores s become cap * tanh(s / cap)"
    )
    final_soft_cap: _Positive | None = Field(default=None, description="logits z become cap * tanh(z / cap)")

    window: _Size | None = Field(
        default=None, description="positions that a layer with a sliding window sees, its own included"
    )
    global_every: Annotated[int, Field(ge=0, le=2**24)] = Field(
        default=0, description="each layer of this multiple has no window; 0: all have it"
    )
    local_rope_theta: _Base | None = Field(
        default=None,
        description="base of the layers with a window, which then are not scaled; none: as the others",
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.head_size % 2:
            raise ValueError(f"head_size must be even for rotary positions, not {self.head_size}")
        return self

    @model_validator(mode="after")
    def _local_layers_exist(self) -> Self:
        if self.window is None and (self.global_every or self.local_rope_theta is not None):
            raise ValueError("global_every and local_rope_theta need a window")
        return self

    def window_of(self, layer: int) -> int | None:
        """Return the sliding window of a layer counted from 0, None for one that sees everything before."""
        if self.global_every and (layer + 1) % self.global_every == 0:
            return None
        return self.window

    @property
    def layers_are_alike(self) -> bool:
        """Tell whether all layers do the same with their parameters, as a scan over them needs."""
        return len({self.window_of(layer) for layer in range(self.layers)}) == 1


PRESETS: Final[dict[str, ModelConfig]] = {
    "nano": ModelConfig(layers=1, width=32, heads=2, kv_heads=1, head_size=16, mlp_width=400),
    "tiny": ModelConfig(layers=2, width=128, heads=4, kv_heads=4, head_size=32, mlp_width=336),
    "small": ModelConfig(layers=4, width=256, heads=8, kv_heads=4, head_size=32, mlp_width=688),
    # The size of nanoGPT's small model, with which arXiv 2307.03381 taught arithmetic.
    "arithmetic-11m": ModelConfig(layers=6, width=384, heads=6, kv_heads=6, head_size=64, mlp_width=1024),
    "base": ModelConfig(layers=10, width=512, heads=8, kv_heads=4, head_size=64, mlp_width=1408),
    "gpt2-124m": ModelConfig(layers=12, width=768, heads=12, kv_heads=12, head_size=64, mlp_width=3456),
    "350m": ModelConfig(layers=24, width=1024, heads=16, kv_heads=16, head_size=64, mlp_width=3392),
    "1b": ModelConfig(layers=16, width=2048, heads=32, kv_heads=8, head_size=64, mlp_width=8192),
}


def preset(name: str) -> ModelConfig:
    """Return the preset of that name.

    Raises:
        ConfigError: for an unknown name, listing the known ones with their sizes.
    """
    if name not in PRESETS:
        known = ", ".join(f"{key} ({parameter_count(shape):,})" for key, shape in PRESETS.items())
        raise ConfigError(f"model: there is no preset {name!r}. Presets (parameters): {known}.")
    return PRESETS[name]


def parameter_count(shape: ModelConfig) -> int:
    """Count the trainable numbers: tables, the blocks' attention, MLP and norms, one last norm."""
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention = 2 * shape.width * (queries + keys)
    attention += (queries + 2 * keys) * shape.qkv_bias + shape.width * shape.out_bias
    attention += 2 * shape.head_size * shape.qk_norm
    mlp = 3 * shape.width * shape.mlp_width
    norms = (4 if shape.post_norms else 2) * shape.width
    tables = (1 if shape.tied else 2) * shape.vocab_size * shape.width
    return tables + shape.layers * (attention + mlp + norms) + shape.width
