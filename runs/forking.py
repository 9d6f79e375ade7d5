"""New runs from old ones: from one of their checkpoints with a changed recipe, or from their first step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runs.creating import create_run
from runs.devices import Device
from runs.models import Run
from runs.selectors import find_checkpoint
from runs.services import Actor
from runs.states import Kind
from training.config import TrainConfig, make_config
from training.errors import ConfigError
from training.taking_up import fixed_fields
from tunix_site.errors import ConflictError, InvalidInputError

# What a run's params say about one start of it, or about what it was made from, is not handed on.
_OWN_PARAMS: Final = frozenset({"allow_inexact", "recipe", "reproduces", "to_step"})


def fork_run(
    run: Run, *, step: int, changes: Mapping[str, Any], name: str = "", actor: Actor = None, origin: str = ""
) -> Run:
    """Write a draft that goes on from the checkpoint of ``step``, with changed fields of the recipe.

    Raises:
        ConflictError: when the run is no training.
        InvalidInputError: for fields that are not there, or that a checkpoint cannot take up.
        NotFoundError: when no such checkpoint is on the disk.
    """
    if run.kind != Kind.TRAIN:
        raise ConflictError(f"Run {run.pk} ({run.get_kind_display()}) is no training.")
    checkpoint = find_checkpoint(run=run, which=str(step))
    config = changed_config(run, changes)
    before = changed_config(run, {})
    if fixed := fixed_fields(before, config):
        raise InvalidInputError(
            "; ".join(
                f"{name}: a checkpoint of {getattr(before, name)} cannot go on as {getattr(config, name)}"
                for name in fixed
            )
            + ".",
            hint="Clone the run to train otherwise from its first step.",
        )
    if config.steps <= step:
        raise InvalidInputError(f"steps: {config.steps} leaves nothing to do after step {step}; set more.")
    return create_run(
        kind=Kind.TRAIN,
        config=config,
        device=device_of(run),
        dataset=run.dataset,
        total_steps=config.steps,
        params=_params(run),
        name=name or run.name,
        parent=run,
        parent_step=step,
        resume_path=checkpoint.path,
        checkpoint_root=Path(run.checkpoint_dir).parent,
        actor=actor,
        origin=origin,
    )


def clone_run(
    run: Run, *, changes: Mapping[str, Any] | None = None, name: str = "", actor: Actor = None
) -> Run:
    """Write a draft with the recipe of ``run``, or with some fields changed, starting at step 0.

    Raises:
        InvalidInputError: for fields that are not there or values that are not allowed.
    """
    config = changed_config(run, changes or {})
    return create_run(
        kind=Kind(run.kind),
        config=config,
        device=device_of(run),
        dataset=run.dataset,
        total_steps=config.steps if run.kind == Kind.TRAIN else run.total_steps,
        params=_params(run),
        name=name or run.name,
        parent=run,
        checkpoint_root=Path(run.checkpoint_dir).parent,
        actor=actor,
    )


def changed_config(run: Run, changes: Mapping[str, Any]) -> TrainConfig:
    """Give a run's recipe with some fields changed.

    Raises:
        InvalidInputError: naming each field that is wrong.
    """
    if unknown := sorted(changes.keys() - TrainConfig.model_fields.keys()):
        raise InvalidInputError(f"There is no field {', '.join(unknown)} in a training config.")
    try:
        return make_config({**run.config, **changes})
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error


def device_of(run: Run) -> Device:
    """Give the device that a run was made for."""
    return Device(kind=run.device_kind, index=run.device_index, uuid=run.device_uuid, name=run.device_name)


def _params(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.params.items() if name not in _OWN_PARAMS}
