"""The one definition of a training recipe. Flags, forms, API and stored JSON come from it.

Imports no JAX, for the site reads it too.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import ConfigError
from training.model_config import PRESETS
from training.targeting import check_targets

MAX_INT = 2**31 - 1
# Fields that change neither the parameters nor a training metric.
HARMLESS_FIELDS = frozenset(
    {
        "eval_every_steps", "eval_limit", "final_eval_limit", "eval_batch_size", "max_new_tokens",
        "save_every_steps", "keep_checkpoints", "keep_best", "best_metric", "keep_every_steps",
        "max_restarts", "grader", "evaluate_first",
    }
)  # fmt: skip
# Fields of which a model from scratch takes no notice.
BASE_FIELDS = frozenset(
    {
        "method", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "quantization", "reasoning",
        "system_prompt",
    }
)  # fmt: skip
PositiveInt = Annotated[int, Field(ge=1, le=MAX_INT)]


class TrainConfig(BaseModel):
    """Everything about a run that decides its numbers, apart from data, code and device."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(
        "tiny",
        description="model preset, see training.model_config.PRESETS, or an imported base model as NAME@HASH",
    )
    method: Literal["full", "lora", "qlora"] = Field(
        "full",
        description="what is trained: all weights, or adapters of low rank beside the frozen weights of a "
        "base model; qlora keeps those in few bits",
    )
    lora_rank: Annotated[int, Field(ge=1, le=4096)] = Field(16, description="rank of the adapters")
    lora_alpha: Annotated[float, Field(gt=0, le=65536)] = Field(
        32.0, description="what adapters add is multiplied by lora_alpha / lora_rank"
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of an adapter's inputs that is dropped while training"
    )
    lora_targets: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        "all-linear",
        description="which projections get adapters: all-linear, or patterns with | between them that are "
        "searched in names such as layers.0.self_attn.q_proj; * is any text, ? one character",
    )
    quantization: Literal["nf4", "int8"] = Field(
        "nf4", description="type of the frozen projections under method=qlora"
    )
    reasoning: Literal["plain", "think", "reasoning_content"] = Field(
        "plain",
        description="how a base model writes steps: as lines before # and the answer, between <think> and "
        "</think>, or as the chat template's reasoning_content",
    )
    system_prompt: Annotated[str, Field(max_length=8000)] = Field(
        "", description="system message of a base model's chat template; empty: none"
    )
    target: Literal["trace", "answer"] = Field(
        "trace", description="what is supervised: all steps and the answer, or the answer alone"
    )
    steps: PositiveInt = Field(1000, description="optimizer updates in all")
    seed: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(0, description="seed of weights and data order")

    packing: bool = Field(
        True,
        description="fill each row with several traces that cannot see each other; false: one trace a row",
    )
    sequence_length: Annotated[int, Field(ge=16, le=131072)] = Field(
        512,
        description="positions of a packed row and of the longest trace; unpacked rows are padded to that",
    )
    long_traces: Literal["refuse", "drop", "cut"] = Field(
        "refuse", description="what becomes of training traces longer than sequence_length"
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(8, description="rows per update")
    micro_batch: Literal["auto"] | Annotated[int, Field(ge=0, le=65536)] = Field(
        0,
        description="rows computed at once, the rest of the batch is accumulated; 0: the whole batch, "
        "auto: the most that fits into memory",
    )

    optimizer: Literal["adamw", "adafactor", "lion", "muon", "sgd"] = Field(
        "adamw",
        description="update rule; muon takes the matrices of the blocks and leaves the rest to adamw; it "
        "does not go with adapters",
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(1e-3, description="peak learning rate")
    schedule: Literal["constant", "cosine", "linear", "wsd"] = Field(
        "cosine", description="course of the rate after warm-up; wsd is warm-up, stable, linear decay"
    )
    final_learning_rate: Annotated[float, Field(ge=0, le=10)] = Field(
        1e-4, description="learning rate at the end; a constant schedule ignores it"
    )
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        100, description="linear warm-up, in updates; at most a quarter of all steps"
    )
    warmup_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="linear warm-up as a share of all steps; above 0 it replaces warmup_steps"
    )
    decay_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.2, description="wsd: share of all steps in which the rate falls at the end"
    )
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(0.1, description="decoupled decay of matrices")
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="first moment of adamw and lion; momentum of sgd"
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="second moment of adamw and lion")
    epsilon: Annotated[float, Field(gt=0, le=1)] = Field(1e-8, description="AdamW epsilon")
    clip_norm: Annotated[float, Field(ge=0, le=1e9)] = Field(
        1.0, description="largest global gradient norm; 0: no clipping"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of a moving average of the weights, which is then evaluated; 0: none"
    )
    skip_limit: PositiveInt = Field(
        10, description="updates in a row whose loss or gradient is not finite, after which training ends"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of each block's contribution that is dropped while training"
    )
    z_loss: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="weight of the squared log-normaliser in the objective"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="share of each target that is spread over the whole vocabulary"
    )
    loss_chunk: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        0, description="tokens whose logits exist at once; 0: chosen by the size of the vocabulary"
    )

    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="compute type: auto is bf16 on a GPU and fp32 on a CPU; parameters stay fp32"
    )
    deterministic: bool = Field(
        False, description="only GPU kernels that give the same bits every time; a CPU always does"
    )
    attention: Literal["auto", "dense", "chunked", "cudnn", "cudnn_packed", "triton"] = Field(
        "auto", description="auto takes the fastest that the device has; what ran stands in the provenance"
    )
    remat: Literal["none", "block", "dots"] = Field(
        "none",
        description="what the backward pass computes again to save memory: nothing, blocks, all but products",
    )
    scan_layers: bool = Field(False, description="one compiled block run in a loop: compiles faster")

    evaluate_first: bool = Field(
        False, description="evaluate before the first update too, as thoroughly as at the end"
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
    grader: Annotated[str, Field(min_length=1, max_length=60)] = Field(
        "auto", description="what decides whether an answer is right; auto: the default of the data"
    )
    save_every_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        250, description="checkpoint every so many updates; 0: only at the end"
    )
    keep_checkpoints: Annotated[int, Field(ge=1, le=10000)] = Field(3, description="newest checkpoints kept")
    keep_best: Annotated[int, Field(ge=0, le=10000)] = Field(
        1, description="checkpoints kept besides because they evaluated best by best_metric"
    )
    best_metric: Literal["eval/answer_accuracy", "eval/step_accuracy", "eval/loss"] = Field(
        "eval/answer_accuracy", description="what makes a checkpoint the best; ties go to the lower loss"
    )
    keep_every_steps: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        0, description="checkpoints of every multiple of this are kept besides; 0: none"
    )
    max_restarts: Annotated[int, Field(ge=0, le=1000)] = Field(
        0,
        description="how often a training that failed or was lost goes on by itself from its newest "
        "checkpoint, and so its evaluations after what they wrote; never after the same error at the same "
        "step twice",
    )

    @model_validator(mode="after")
    def _adapters_need_a_base(self) -> Self:
        if self.method != "full" and self.model in PRESETS:
            raise ValueError(
                f"method={self.method} trains adapters beside the weights of an imported base model, and "
                f"{self.model} begins from nothing; import one with import_model, or take method=full"
            )
        if self.method != "full" and self.optimizer == "muon":
            raise ValueError(
                f"optimizer=muon takes matrices of the blocks, which method={self.method} leaves as they "
                "are; take adamw, adafactor, lion or sgd, or method=full"
            )
        check_targets(self.lora_targets)
        return self

    @model_validator(mode="after")
    def _rates_fit(self) -> Self:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate must not be above learning_rate")
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Self:
        if isinstance(self.micro_batch, int) and self.micro_batch and self.batch_size % self.micro_batch:
            divisors = [str(n) for n in range(1, self.batch_size + 1) if self.batch_size % n == 0]
            raise ValueError(
                f"micro_batch={self.micro_batch} does not divide batch_size={self.batch_size}; "
                f"take 0, auto or one of {', '.join(divisors[:20])}"
            )
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
