"""What people do to checkpoints: pin and delete them, and see that rows and folders agree.

Checkpoints are written by the child that trains; the rows follow from its journal. Where the
two came apart (a folder deleted by hand, a database restored from a backup, a damaged disk),
`check_checkpoints` finds it.
"""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from runs.listing.summaries import refresh_checkpoints
from runs.models import Checkpoint, Run
from runs.promotion.holding import HOW_TO_FREE, is_marked_otherwise, mark_held, names_of
from runs.services import Actor
from runs.states import Kind, Status
from runs.store import store_id
from training import checkpoints
from training.errors import CheckpointError
from tunix_site.errors import ConflictError
from tunix_site.services import record_audit


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about checkpoints that is not as it should be; of no run where a folder is nobody's."""

    run_id: int | None
    step: int | None
    message: str
    repaired: bool

    def as_json(self) -> dict[str, Any]:
        """Give it as ``--json`` prints it."""
        return asdict(self)


def pin(checkpoint: Checkpoint, *, pinned: bool, actor: Actor = None) -> Checkpoint:
    """Keep a checkpoint whatever the retention says, or let it go again.

    Raises:
        ConflictError: when its folder is gone.
    """
    if not checkpoint.on_disk:
        raise ConflictError(f"{_named(checkpoint)} is no longer on the disk.")
    _require_own(checkpoint)
    with transaction.atomic():
        checkpoint.pinned = pinned
        checkpoint.save(update_fields=["pinned"])
        _audit(checkpoint, "pinned" if pinned else "unpinned", actor)
        checkpoints.pin(Path(checkpoint.path), pinned=pinned)
    return checkpoint


def delete(checkpoint: Checkpoint, *, actor: Actor = None) -> int:
    """Delete a checkpoint's files for good, and return the bytes that this freed.

    Raises:
        ConflictError: when it is pinned, gone, what an alias points at, needed by another run, or its run is
            alive.
    """
    run, folder = checkpoint.run, Path(checkpoint.path)
    if checkpoint.removed_at or not checkpoint.on_disk:
        raise ConflictError(f"{_named(checkpoint)} is no longer on the disk.")
    if checkpoint.pinned or checkpoints.is_pinned(folder):
        raise ConflictError(f"{_named(checkpoint)} is pinned.", hint="Unpin it first.")
    _require_unnamed(checkpoint)
    if run.is_alive:
        raise ConflictError(
            f"Run {run.pk} is {run.status} and sees to its own checkpoints.", hint="Stop it first."
        )
    _require_own(checkpoint)
    needed = Run.objects.filter(Q(resume_path=str(folder)) | Q(params__step_dir=str(folder))).exclude(
        status__in=[Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.LOST]
    )
    if other := needed.exclude(pk=run.pk).first():
        raise ConflictError(f"Run {other.pk} ({other.status}) is to start from {_named(checkpoint)}.")
    # Once more: somebody may have promoted it since, and marks its folder before writing the row.
    _require_unnamed(checkpoint)
    if checkpoints.is_held(folder):
        raise ConflictError(
            f"{_named(checkpoint)} is marked as what a name points at.",
            hint="Somebody may be promoting it. If nobody is, check_checkpoints --repair removes the mark.",
        )
    freed = checkpoints.remove(folder)
    with transaction.atomic():
        who = f" by {actor}" if actor is not None and actor.is_authenticated else ""
        Checkpoint.objects.filter(path=checkpoint.path, removed_at=None).update(
            removed_at=timezone.now(), removed_why=f"deleted{who}"[:200]
        )
        refresh_checkpoints(run.pk)
        _audit(checkpoint, "deleted", actor, freed_bytes=freed)
    return freed


@dataclass(slots=True)
class Report:
    """What a check found: sound checkpoints, bytes that nothing uses, of them bytes freed.

    ``elsewhere``: the runs whose checkpoints lie in the artifacts folder of another host.
    """

    verified: int = 0
    unused_bytes: int = 0
    freed_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)


def check_checkpoints(*, run: Run | None, repair: bool, purge: bool) -> Report:
    """Compare rows with folders, and verify every checkpoint's hashes.

    ``repair`` mends rows and sets damaged checkpoints aside; ``purge`` deletes what was set
    aside or left half-written. A run that is alive is looked at, never touched.
    """
    trainings = Run.objects.filter(kind=Kind.TRAIN).exclude(checkpoint_dir="").order_by("id")
    report = Report()
    for one in [run] if run else trainings:
        if one.store and one.store != store_id():
            report.elsewhere.append(one.pk)
            continue
        root, touch = Path(one.checkpoint_dir), not one.is_alive
        found = len(checkpoints.step_dirs(root))
        damaged = list(_damaged(one, root, repair and touch))
        report.verified += found - len(damaged)
        report.findings += damaged
        report.findings += _rows_without_folder(one, repair and touch)
        report.findings += _folders_without_row(one, root, repair and touch)
        report.findings += _other_pins(one, repair and touch)
        report.findings += _other_holds(one, repair and touch)
        if repair and touch:
            refresh_checkpoints(one.pk)
        for path in _discarded(root) if touch else []:
            size = checkpoints.size_of(path)
            report.unused_bytes += size
            if purge:
                shutil.rmtree(path)
                report.freed_bytes += size
    if run is None:
        report.findings += _folders_without_run()
    return report


def _damaged(run: Run, root: Path, repair: bool) -> Iterator[Finding]:
    for path, reason in checkpoints.damaged_step_dirs(root, run_uid=str(run.uid)).items():
        where = ""
        if repair:
            where = f" It lies now in {checkpoints.set_aside(path).name}."
            Checkpoint.objects.filter(run=run, path=str(path), removed_at=None).update(
                removed_at=timezone.now(), removed_why=f"damaged: {reason}"[:200]
            )
        yield Finding(run.pk, int(path.name), reason + where, repair)


def _rows_without_folder(run: Run, repair: bool) -> Iterator[Finding]:
    for row in Checkpoint.objects.filter(run=run, removed_at=None):
        if row.on_disk:
            continue
        if repair:
            row.removed_at, row.removed_why = timezone.now(), "found gone"
            row.save(update_fields=["removed_at", "removed_why"])
        yield Finding(run.pk, row.step, f"is recorded, but {row.path} is gone", repair)


def _folders_without_row(run: Run, root: Path, repair: bool) -> Iterator[Finding]:
    known = set(Checkpoint.objects.filter(run=run, removed_at=None).values_list("path", flat=True))
    for step, path in checkpoints.step_dirs(root):
        if str(path) in known:
            continue
        try:
            metadata = checkpoints.read_metadata(path)
        except CheckpointError:
            continue  # named as damaged
        if repair:
            Checkpoint.objects.update_or_create(
                run=run,
                step=step,
                attempt=int(metadata.get("attempt") or run.attempt),
                defaults={
                    "path": str(path),
                    "size_bytes": checkpoints.size_of(path),
                    "metadata": metadata,
                    "pinned": checkpoints.is_pinned(path),
                    "created_at": _created(metadata),
                    "removed_at": None,
                    "removed_why": "",
                },
            )
        yield Finding(run.pk, step, f"lies in {path}, but is not recorded", repair)


def _other_pins(run: Run, repair: bool) -> Iterator[Finding]:
    """Find pins that only one side knows of; the row says what people want."""
    for row in Checkpoint.objects.filter(run=run, removed_at=None):
        folder = Path(row.path)
        if not row.on_disk or row.pinned == checkpoints.is_pinned(folder):
            continue
        if repair:
            checkpoints.pin(folder, pinned=row.pinned)
        what = (
            "recorded as pinned, but not on the disk"
            if row.pinned
            else "pinned on the disk, but not recorded"
        )
        yield Finding(run.pk, row.step, f"is {what}", repair)


def _other_holds(run: Run, repair: bool) -> Iterator[Finding]:
    """Find marks of aliases that only one side knows of; the rows say where aliases point."""
    for row in Checkpoint.objects.filter(run=run, removed_at=None):
        names = names_of(row)
        if not row.on_disk or not is_marked_otherwise(row, names):
            continue
        if repair:
            mark_held(row)
        what = (
            f"is what {', '.join(names)} points at, but not marked so"
            if names
            else "is marked for an alias that is not there"
        )
        yield Finding(run.pk, row.step, what, repair)


def _folders_without_run() -> Iterator[Finding]:
    """Find folders of checkpoints that belong to no run; whose they are, a person must say."""
    known = {
        Path(path) for path in Run.objects.exclude(checkpoint_dir="").values_list("checkpoint_dir", flat=True)
    }
    place = Path(settings.TUNIX_ARTIFACTS_DIR).resolve() / "checkpoints"
    for root in sorted(place.iterdir()) if place.is_dir() else []:
        if root not in known and (steps := checkpoints.step_dirs(root)):
            count = f"{len(steps)} checkpoint{'s' if len(steps) > 1 else ''}"
            yield Finding(
                None, None, f"{root} holds {count} of no run of this database; see to it by hand", False
            )


def _created(metadata: dict[str, Any]) -> dt.datetime:
    at = metadata.get("created_at")
    return dt.datetime.fromtimestamp(at, dt.UTC) if isinstance(at, int | float) else timezone.now()


def _discarded(root: Path) -> list[Path]:
    return sorted([*checkpoints.leftovers(root), *root.glob(f"{checkpoints.ASIDE_PREFIX}*")])


def _require_unnamed(checkpoint: Checkpoint) -> None:
    if names := names_of(checkpoint):
        raise ConflictError(
            f"{_named(checkpoint)} is what {', '.join(names)} {'points' if len(names) == 1 else 'point'} at.",
            hint=HOW_TO_FREE,
        )


def _require_own(checkpoint: Checkpoint) -> None:
    """Make sure that the folder is the run's own: the path of a row may come from another machine."""
    folder, root = Path(checkpoint.path), Path(checkpoint.run.checkpoint_dir)
    if folder.parent.resolve() != root.resolve() or folder.name != str(checkpoint.step):
        raise ConflictError(
            f"{_named(checkpoint)} lies in {folder}, which is no folder of that run here.",
            hint="It was recorded elsewhere; see to it by hand.",
        )


def _named(checkpoint: Checkpoint) -> str:
    return f"The checkpoint of step {checkpoint.step} of run {checkpoint.run_id}"


def _audit(checkpoint: Checkpoint, what: str, actor: Actor, **detail: Any) -> None:
    record_audit(
        actor=actor,
        action=f"checkpoint.{what}",
        target_type="run",
        target_id=checkpoint.run_id,
        detail={"step": checkpoint.step, **detail},
    )
