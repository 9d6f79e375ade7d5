"""Write new runs down, as drafts with a frozen recipe."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from datasets_app.models import Dataset
from runs.base_models.keeping import keep_base
from runs.devices import Device
from runs.journal import storable
from runs.listing.summaries import parameters_of
from runs.models import Run
from runs.processes import hostname
from runs.services import Actor, audit
from runs.states import Kind
from training.bases import pinned
from training.config import TrainConfig
from training.errors import ConfigError
from training.grading import find_grader
from tunix_site.errors import InvalidInputError

MAX_NAME = 300


def create_run(
    *,
    kind: Kind,
    config: TrainConfig,
    device: Device,
    dataset: Dataset | None,
    total_steps: int,
    params: dict[str, Any] | None = None,
    name: str = "",
    parent: Run | None = None,
    parent_step: int | None = None,
    resume_path: str = "",
    checkpoint_root: Path | None = None,
    priority: int = 0,
    origin: str = "",
    actor: Actor = None,
) -> Run:
    """Write a draft run with its frozen recipe, which names a base model by its hash.

    ``checkpoint_root`` holds one folder a run; ``origin`` says how the run was asked for, a command
    line for example.

    Raises:
        InvalidInputError: for a model that is neither a preset nor here, a grader that there is not, or a
            name that is too long.
    """
    try:
        config = config.model_copy(update={"model": pinned(config.model)})
        find_grader(config.grader)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    if len(name) > MAX_NAME:
        raise InvalidInputError(f"The name has {len(name)} characters; at most {MAX_NAME} are kept.")
    root = checkpoint_root or Path(settings.TUNIX_ARTIFACTS_DIR) / "checkpoints"
    with transaction.atomic():
        keep_base(config.model)
        run = Run.objects.create(
            kind=kind,
            name=storable(name),
            owner=actor if isinstance(actor, User) else None,
            dataset=dataset,
            config=config.model_dump(mode="json"),
            params=params or {},
            parent=parent,
            parent_step=parent_step,
            device_kind=device.kind,
            device_index=device.index,
            device_uuid=device.uuid,
            device_name=device.name,
            device_pinned=device.pinned,
            host=hostname() if device.pinned else "",
            # What it starts from lies where its parent ran.
            store=parent.store if parent and parent_step is not None else "",
            priority=priority,
            total_steps=total_steps,
            parameters=parameters_of(config.model_dump()),
            resume_path=resume_path,
            origin=storable(origin),
        )
        run.checkpoint_dir = str(root.resolve() / str(run.pk))
        run.save(update_fields=["checkpoint_dir"])
        audit(run, "created", actor)
    return run
