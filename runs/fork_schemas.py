"""What a fork is asked for with."""

from typing import Any

from ninja import Schema
from pydantic import ConfigDict, Field

from runs.schemas import StepNumber


class ForkIn(Schema):
    """The checkpoint to go on from, and the fields of the config to change."""

    model_config = ConfigDict(extra="forbid")

    step: StepNumber
    changes: dict[str, Any] = Field(default_factory=dict, max_length=100)
    name: str = Field("", max_length=300)
    start: bool = Field(True, description="false: leave it a draft")
