"""The one definition of a training recipe. Flags, forms, API and stored JSON come from it.

Imports no JAX, for the site reads it too.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import ConfigError

MAX_INT = 2**31 - 1
PositiveInt = Annotated[int, Field(ge=1, le=MAX_INT)]


class TrainConfig(BaseModel):
    """Everything about a run that decides its numbers, apart from data, code and device."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field("tiny", description="model preset, see training.model_config.PRESETS")
    target: Literal["trace", "answer"] = Field(
        "trace", description="what is supervised: all steps and the answer, or the answer alone"
    )
    steps: PositiveInt = Field(1500, description="optimizer updates in all")
    seed: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(0, description="seed of weights and data order")
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(32, description="traces per update")
    sequence_length: Annotated[int, Field(ge=16, le=131072)] = Field(
        512, description="longest trace in tokens; rows are padded only to the longest trace there is"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(1e-3, description="peak learning rate")
    final_learning_rate: Annotated[float, Field(ge=0, le=10)] = Field(
        1e-4, description="learning rate at the end of the cosine"
    )
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        100, description="linear warm-up, in updates; at most a quarter of all steps"
    )
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(0.1, description="AdamW decay of matrices")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="AdamW first moment")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="AdamW second moment")
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(1e-8, description="AdamW epsilon")
    clip_norm: Annotated[float, Field(gt=0, le=1e9)] = Field(1.0, description="largest global gradient norm")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="compute type: auto is bf16 on a GPU and fp32 on a CPU; parameters stay fp32"
    )
    attention: Literal["auto", "dense", "chunked", "cudnn"] = Field(
        "auto", description="auto takes the fastest that the device has; what ran stands in the provenance"
    )
    eval_every_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        250, description="evaluate every so many updates; 0: only at the end"
    )
    eval_limit: PositiveInt = Field(64, description="held-out traces per evaluation during training")
    final_eval_limit: PositiveInt = Field(1000, description="held-out traces in the final evaluation")
    eval_batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(
        128, description="prompts generated together"
    )
    max_new_tokens: Annotated[int, Field(ge=0, le=131072)] = Field(
        0, description="longest generated answer in tokens; 0: a quarter longer than the longest expected"
    )
    save_every_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        250, description="checkpoint every so many updates; 0: only at the end"
    )
    keep_checkpoints: Annotated[int, Field(ge=1, le=10000)] = Field(3, description="newest checkpoints kept")

    @model_validator(mode="after")
    def _rates_fit(self) -> Self:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate must not be above learning_rate")
        return self


def parse_overrides(assignments: Sequence[str]) -> dict[str, str]:
    """Split ``field=value`` texts, as given to ``--set``, into a mapping.

    Raises:
        ConfigError: for a text without ``=``, an unknown field or a field given twice.
    """
    values: dict[str, str] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ConfigError(f"--set {text!r}: write it as field=value, for example --set batch_size=16.")
        if name not in TrainConfig.model_fields:
            known = ", ".join(sorted(TrainConfig.model_fields))
            raise ConfigError(f"--set {text!r}: there is no field {name!r}. Fields are: {known}.")
        if name in values:
            raise ConfigError(f"--set {name} is given twice.")
        values[name] = value.strip()
    return values


def make_config(values: Mapping[str, Any]) -> TrainConfig:
    """Build a config from field values (numbers may be text).

    Raises:
        ConfigError: naming every field that is wrong, its value and what is allowed.
    """
    try:
        return TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """Turn pydantic's findings into one sentence a field."""
    parts = []
    for finding in error.errors(include_url=False):
        field = ".".join(str(part) for part in finding["loc"]) or "config"
        given = "" if not finding["loc"] else f" (given: {finding['input']!r})"
        message = finding["msg"].removeprefix("Value error, ")
        parts.append(f"{field}: {message}{given}")
    return "Bad training configuration. " + "; ".join(parts) + "."
