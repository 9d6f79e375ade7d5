"""The form of a benchmark record, version 2, as JSON Schema. `runs.benchmarks.records` writes it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from training.bench.limits import Limits


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Spread(_Part):
    """Times in seconds."""

    median: float = Field(gt=0)
    p10: float = Field(ge=0)
    p90: float = Field(ge=0)


class StepTime(Spread):
    """Times of the steady updates, each until its parameters are there."""

    series: list[float]


class HostTime(_Part):
    """What the host does for an update: making and copying a batch, the call, recording a value."""

    data: Spread
    dispatch: Spread
    logging: Spread


class Parts(_Part):
    """The parts of an update, each timed by itself."""

    forward: Spread
    forward_backward: Spread
    update: Spread


class Flops(_Part):
    """Operations of an update, from the structure of the model."""

    convention: str
    useful_per_step: float = Field(description="for real tokens")
    computed_per_step: float = Field(description="with padding, at least")
    forward: dict[str, float] = Field(description="of a forward pass: blocks, attention, logits")


class Peaks(_Part):
    """What the device can do, measured in the same run, and by data sheet."""

    product_flops_per_second: float
    copy_bytes_per_second: float
    specified_flops_per_second: float | None


class Generation(_Part):
    """Writing after some prompts at once, greedily."""

    prompts: int
    max_new_tokens: int
    tokens: int
    seconds: float
    tokens_per_second: float


class Record(_Part):
    """A benchmark of one recipe on one device. Seconds, bytes, joules, operations; tokens are real ones."""

    schema_version: int = Field(ge=2, le=2)
    benchmark_id: int
    run_id: int
    name: str = Field(description="of the baseline that it belongs to, if any")
    recipe: str = Field(description="the same for the same config and data")
    group: str = Field(description="the same for what one command started")
    created_at: str
    dataset: str | None
    content_hash: str | None
    device_name: str
    device_kind: str
    device_index: int
    device_uuid: str
    profile_dir: str | None
    model: str
    parameters: int
    batch_size: int
    micro_batch: int
    packing: bool
    sequence_length: int
    precision: str
    attention: str
    remat: str
    scan_layers: bool
    config: dict[str, Any]
    lowering_s: float
    compile_s: float
    compile_cache_hit: bool | None
    first_step_s: float
    warmup_steps: int
    steps: int
    step_time: StepTime
    host_time: HostTime
    steps_per_second: float
    examples_per_second: float
    tokens_per_second: float
    padded_tokens_per_second: float
    real_token_share: float = Field(ge=0, le=1)
    memory: dict[str, Any] = Field(description="the plan, and the peaks of device and process")
    flops: Flops
    peaks: Peaks
    limits: Limits
    parts: Parts | None = None
    generation: Generation | None = None
    energy: dict[str, float] | None = Field(None, description="where the card counts it")
    profile: dict[str, Any] | None = Field(None, description="longest operations of the profiled updates")
    provenance: dict[str, Any]


class FailedRecord(_Part):
    """A benchmark that could not be carried out: what was asked for, and why not."""

    schema_version: int = Field(ge=2, le=2)
    benchmark_id: int
    run_id: int
    failure: str
    config: dict[str, Any]


_ID: Final = "benchmark-record-2"


def record_schema() -> dict[str, Any]:
    """Give the JSON Schema of a record: with figures, or of one that failed."""
    return {"$id": _ID, **TypeAdapter(Record | FailedRecord).json_schema()}
