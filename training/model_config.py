"""The shapes of the model and the presets that a recipe can name. Imports no JAX."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.errors import ConfigError

_Size = Annotated[int, Field(ge=1, le=2**24)]

# The byte tokenizer uses 258 ids; a multiple of four keeps the rows of the table aligned.
BYTE_VOCABULARY: Final = 260


class ModelConfig(BaseModel):
    """A decoder-only transformer: RMSNorm, rotary positions, grouped queries, SwiGLU, tied embeddings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layers: _Size = Field(description="transformer blocks")
    width: _Size = Field(description="size of the residual stream")
    heads: _Size = Field(description="query heads")
    kv_heads: _Size = Field(description="key and value heads; each serves heads / kv_heads query heads")
    head_size: _Size = Field(description="size of one head, even")
    mlp_width: _Size = Field(description="inner size of the SwiGLU")
    vocab_size: _Size = Field(default=BYTE_VOCABULARY, description="rows of the embedding table")
    rope_theta: Annotated[float, Field(gt=1)] = Field(
        default=10_000.0, description="base of the rotary wave lengths"
    )
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1e-6, description="added to the mean square"
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.head_size % 2:
            raise ValueError(f"head_size must be even for rotary positions, not {self.head_size}")
        return self


PRESETS: Final[dict[str, ModelConfig]] = {
    "nano": ModelConfig(layers=1, width=32, heads=2, kv_heads=1, head_size=16, mlp_width=400),
    "tiny": ModelConfig(layers=2, width=128, heads=4, kv_heads=4, head_size=32, mlp_width=336),
    "small": ModelConfig(layers=4, width=256, heads=8, kv_heads=4, head_size=32, mlp_width=688),
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
    """Count the trainable numbers: table, per block two norms, attention and SwiGLU, one last norm."""
    attention = shape.width * shape.head_size * (2 * shape.heads + 2 * shape.kv_heads)
    mlp = 3 * shape.width * shape.mlp_width
    block = attention + mlp + 2 * shape.width
    return shape.vocab_size * shape.width + shape.layers * block + shape.width
