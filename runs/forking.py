"""Fork a training: a new draft that goes on from one of its checkpoints, with a changed config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs import services
from runs.devices import Device
from runs.models import Run
from runs.selectors import find_checkpoint
from runs.states import Kind
from training.config import make_config
from training.errors import ConfigError
from tunix_site.errors import ConflictError, InvalidInputError


def fork_run(
    run: Run, *, step: int, changes: Mapping[str, Any], name: str = "", actor: services.Actor = None
) -> Run:
    """Write a draft that takes up ``run`` from its checkpoint of ``step`` with ``changes`` to its config.

    Raises:
        ConflictError: when the run is no training.
        NotFoundError: when no checkpoint of that step is on disk, naming the steps that there are.
        InvalidInputError: for unknown or unsound fields, another model, or steps not beyond ``step``.
    """
    if run.kind != Kind.TRAIN:
        raise ConflictError(f"Run {run.pk} is no training ({run.get_kind_display()}) and cannot be forked.")
    checkpoint = find_checkpoint(run=run, which=str(step))
    try:
        config = make_config({**run.config, **changes})
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    if config.model != run.config["model"]:
        raise InvalidInputError(
            f"model={config.model!r}: the checkpoint holds a model of {run.config['model']!r}.",
            hint="Clone the run to train another model.",
        )
    if config.steps <= step:
        raise InvalidInputError(
            f"steps={config.steps} ends at or before the checkpoint's step {step}.",
            hint="Give more steps: they count from step 0.",
        )
    return services.create_run(
        kind=Kind.TRAIN,
        config=config,
        device=Device(
            kind=run.device_kind, index=run.device_index, uuid=run.device_uuid, name=run.device_name
        ),
        dataset=run.dataset,
        total_steps=config.steps,
        name=name or run.name,
        parent=run,
        parent_step=step,
        resume_path=checkpoint.path,
        checkpoint_root=Path(run.checkpoint_dir).parent,
        origin=f"fork of run {run.pk} at step {step}",
        actor=actor,
    )
