"""Repeat a run: what stands against an exact repeat, and the child run that repeats it."""

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from datasets_app.verification import check_rows
from runs.creating import create_run
from runs.devices import Device, resolve_device
from runs.differences import Difference, differences
from runs.forking import device_of
from runs.models import Reproduction, Run
from runs.services import Actor
from runs.states import Kind, Status
from training.checkpoints import verify
from training.code_facts import git_facts
from training.config import TrainConfig
from training.errors import CheckpointError
from training.provenance import installed, packages_hash
from tunix_site.errors import ConflictError, InvalidInputError

NEEDED = ("config", "content_hash", "packages", "device")


def require_reproducible(run: Run, to_step: int | None = None) -> int | None:
    """Make sure that a run can be repeated at all.

    Returns:
        The last step to repeat, None for all.

    Raises:
        UserError: "not comparable, because …", or a step that the run does not have.
    """

    def refuse(why: str) -> ConflictError:
        return ConflictError(f"Run {run.pk} is not comparable, because {why}.")

    if run.kind != Kind.TRAIN:
        raise refuse(f"it is no training ({run.get_kind_display()})")
    if run.is_alive or run.status == Status.DRAFT:
        raise refuse(f"it is {run.status}, not ended")
    if run.dataset is None:
        raise refuse("it has no dataset")
    missing = [name for name in NEEDED if not run.provenance.get(name)]
    if missing:
        raise refuse(f"its provenance lacks {', '.join(missing)}")
    inexact = run.inexact_attempts.first()
    if inexact is not None:
        raise refuse(f"attempt {inexact.number} was resumed inexactly ({inexact.inexact})")
    if run.parent_step is not None:
        _require_start(run, refuse)
    return _last_step(run, to_step)


def present_facts(run: Run, device: Device) -> dict[str, Any]:
    """Give the run's provenance with all that is known here, before its child starts, as it is now."""
    then: Mapping[str, Any] = run.provenance
    code = git_facts(Path(settings.BASE_DIR))
    return {
        **then,
        "config": run.config,
        "content_hash": run.dataset.content_hash if run.dataset else "",
        "packages": {name: _version(name) for name in then["packages"]},
        "packages_hash": packages_hash(),
        "installed": installed(),
        "python": platform.python_version(),
        "device": {**then["device"], "kind": device.kind},
        **{name: code[name] for name in ("git_commit", "git_dirty", "git_diff_hash")},
    }


def known_differences(run: Run, device: Device) -> list[Difference]:
    """Name what differs already before training; the child's own provenance tells the rest.

    Raises:
        UserError: when the rows of the dataset are not (any more) those that its hash names.
    """
    broken = check_rows(dataset=run.dataset) if run.dataset else []
    if broken:
        raise ConflictError(
            f"Run {run.pk} is not comparable, because its dataset is not sound: {broken[0].message}",
            hint="See `manage.py check_datasets`.",
        )
    return differences(run.provenance, present_facts(run, device))


def create_reproduction(
    run: Run, *, to_step: int | None = None, device: str | None = None, origin: str = "", actor: Actor = None
) -> Reproduction:
    """Write the draft that repeats ``run``, with what differs already.

    Raises:
        UserError: where the run cannot be repeated, or the device is not there.
    """
    last = require_reproducible(run, to_step)
    wanted = device_of(run) if device in (None, run.device_kind) else resolve_device(kind=device)
    found = known_differences(run, wanted)
    with transaction.atomic():
        child = create_run(
            kind=Kind.TRAIN,
            config=TrainConfig.model_validate(run.config),
            device=wanted,
            dataset=run.dataset,
            total_steps=last or int(run.config["steps"]),
            params={"reproduces": run.pk, "to_step": last},
            name=f"reproduction of run {run.pk}",
            parent=run,
            parent_step=run.parent_step,
            resume_path=run.resume_path if run.parent_step is not None else "",
            checkpoint_root=Path(run.checkpoint_dir).parent,
            origin=origin,
            actor=actor,
        )
        return Reproduction.objects.create(
            of=run, run=child, to_step=last, differences=[asdict(one) for one in found]
        )


def _require_start(run: Run, refuse: Any) -> None:
    start = Path(run.resume_path) if run.resume_path else None
    if start is None or start.parent == Path(run.checkpoint_dir):
        raise refuse("the checkpoint that it began from is not known any more")
    try:
        verify(start)
    except CheckpointError as error:
        raise refuse(f"the checkpoint that it began from cannot be used: {error}") from error


def _last_step(run: Run, to_step: int | None) -> int | None:
    steps = int(run.config["steps"])
    begun = (run.parent_step or 0) + 1
    # A run that was ended before may lack what its last step would still have recorded.
    whole = run.step if run.status == Status.COMPLETED else run.step - 1
    if whole < begun:
        raise ConflictError(f"Run {run.pk} is not comparable, because it has no whole step.")
    if to_step is None and run.status != Status.COMPLETED:
        raise ConflictError(
            f"Run {run.pk} is {run.status} at step {run.step} of {steps}.",
            hint=f"Repeat a part of it: --to-step {whole}, or resume it first.",
        )
    if to_step is not None and not begun <= to_step <= whole:
        raise InvalidInputError(f"--to-step {to_step}: run {run.pk} has steps {begun} to {whole}.")
    last = to_step or whole
    return None if last == steps else last


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
