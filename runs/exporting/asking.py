"""An export from asking to the finished folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from runs.exporting.card import write_card
from runs.exporting.child import Hear, run_child
from runs.models import Checkpoint, Run
from runs.selectors import find_checkpoint
from runs.states import Kind
from training import bases
from training.config import make_config
from training.errors import ConfigError, ExportError
from training.hf.formats import MAX_SHARD_BYTES, Format, require_possible
from training.hf.target import require_free
from tunix_site.errors import ConflictError, InvalidInputError


def export_checkpoint(
    run: Run,
    *,
    which: str,
    format: Format,
    target: Path,
    overwrite: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    hear: Hear = lambda _: None,
) -> dict[str, Any]:
    """Write a checkpoint of a training as a folder for other programs; ``hear`` is told how far it is.

    Returns:
        What ``export_model --json`` prints.

    Raises:
        ConflictError: for a run that has no model, or not one that this format holds.
        ExportFailedError: when it cannot be written, saying why; the target is then as it was.
        InvalidInputError: for a target that must not be written to.
        NotFoundError: when there is no such checkpoint.
    """
    checkpoint = _checkpoint(run, which, format)
    _require_outside(target)
    try:
        require_free(target, overwrite=overwrite)
    except ExportError as error:
        raise InvalidInputError(str(error)) from error
    request = {
        "step_dir": checkpoint.path,
        "models": str(bases.root().absolute()),
        "format": format,
        "target": str(target.absolute()),
        "card": write_card(run, checkpoint, format=format),
        "overwrite": overwrite,
        "max_shard_bytes": max_shard_bytes,
    }
    result = run_child(request, hear=hear)
    return {
        "run_id": run.pk,
        "step": checkpoint.step,
        "format": format,
        **{name: result[name] for name in ("path", "files", "bytes", "params_hash")},
    }


def _require_outside(target: Path) -> None:
    """Keep exports out of the folder where the site keeps what it cannot lose."""
    own = Path(settings.TUNIX_ARTIFACTS_DIR).resolve()
    if target.resolve().is_relative_to(own):
        raise InvalidInputError(
            f"{target} lies in {own}, where checkpoints and base models are kept.",
            hint="Choose a folder outside of it.",
        )


def _checkpoint(run: Run, which: str, format: Format) -> Checkpoint:
    if run.kind != Kind.TRAIN:
        raise ConflictError(
            f"Run {run.pk} ({run.get_kind_display()}) has no model of its own.", hint="Export a training."
        )
    checkpoint = find_checkpoint(run=run, which=which)
    try:
        require_possible(make_config(run.config), format)
    except (ConfigError, ExportError) as error:
        raise ConflictError(f"Run {run.pk}: {error}") from error
    return checkpoint


def in_words(told: Mapping[str, Any]) -> str:
    """Say how far an export is."""
    if told["phase"] == "reading":
        return "Reading and checking the checkpoint…"
    return f"Writing tensor {told['done'] + 1} of {told['of']}…"
