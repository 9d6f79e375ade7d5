"""The first line of a journal: what it is of, told so that a site that never saw the run can import it."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError, field_validator

from runs.journal_lines import FORMAT_VERSION
from runs.models import Attempt, Run
from runs.states import Kind
from training.config import TrainConfig
from tunix_site.errors import InvalidInputError

# What params mean only in the database that they were written for: numbers of its runs.
LOCAL_PARAMS = frozenset({"reproduces"})


class JournalHeader(BaseModel):
    """What the first line says; fields that a newer writer adds are passed over."""

    format: int = Field(ge=1)
    uid: UUID
    kind: Kind
    name: str = Field("", max_length=300)
    config: dict[str, Any]
    params: dict[str, Any] = {}
    dataset_key: str = ""
    content_hash: str = ""
    total_steps: int = Field(ge=0, le=2**31 - 1)
    attempt: int = Field(ge=1, le=2**31 - 1)
    host: str = Field("", max_length=255)
    device: str = Field("", max_length=120)
    device_kind: str = Field("cpu", pattern="^(cpu|gpu)$")
    device_index: int = Field(0, ge=0, le=2**15 - 1)
    device_uuid: str = Field("", max_length=80)
    device_name: str = Field("", max_length=200)
    checkpoint_dir: str = Field("", max_length=1000)
    parent_uid: UUID | None = None
    parent_step: int | None = Field(None, ge=0, le=2**31 - 1)

    @field_validator("config")
    @classmethod
    def _is_a_config(cls, config: dict[str, Any]) -> dict[str, Any]:
        TrainConfig.model_validate(config)
        return config


def journal_header(run: Run, attempt: Attempt) -> dict[str, Any]:
    """Describe an attempt for the first line of its journal; reads the run's dataset and parent."""
    return {
        "format": FORMAT_VERSION,
        "uid": str(run.uid),
        "kind": run.kind,
        "name": run.name,
        "config": run.config,
        "params": run.params,
        "dataset_key": run.dataset.key if run.dataset else "",
        "content_hash": run.dataset.content_hash if run.dataset else "",
        "total_steps": run.total_steps,
        "attempt": attempt.number,
        "host": attempt.host,
        "device": attempt.device,
        "device_kind": run.device_kind,
        "device_index": run.device_index,
        "device_uuid": run.device_uuid,
        "device_name": run.device_name,
        "checkpoint_dir": run.checkpoint_dir,
        "parent_uid": str(run.parent.uid) if run.parent else None,
        "parent_step": run.parent_step,
    }


def read_header(event: dict[str, Any]) -> JournalHeader:
    """Check a journal's first event.

    Raises:
        InvalidInputError: naming each field that is not as it should be, or for a newer format.
    """
    version = event.get("format")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise InvalidInputError(
            f"The journal has format {version}; this site reads up to {FORMAT_VERSION}.",
            hint="Import it with the version of tunix_site that wrote it, or a newer one.",
        )
    try:
        return JournalHeader.model_validate(event)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'header'}: {one['msg']}" for one in error.errors()
        )
        raise InvalidInputError(f"The journal's first line does not describe a run: {wrong}.") from error
