"""Whether a run may go on from a checkpoint, and whether that will be exact."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.config import TrainConfig
from training.errors import CheckpointError
from training.recorder import Recorder

# Fields that change neither the parameters nor a training metric.
_HARMLESS: Final = {
    "eval_every_steps", "eval_limit", "final_eval_limit", "eval_batch_size", "max_new_tokens",
    "save_every_steps", "keep_checkpoints",
}  # fmt: skip


def require_continuable(
    stored: Mapping[str, Any], config: TrainConfig, facts: Mapping[str, Any], recorder: Recorder, where: Path
) -> None:
    """Refuse other data or too few steps; name recipe fields that make the resume not exact.

    Raises:
        CheckpointError: saying what does not go together and what to do.
    """
    if int(stored["step"]) > config.steps:
        raise CheckpointError(
            f"Checkpoint {where} stands after step {stored['step']}, beyond steps={config.steps}. "
            "Set more steps or an older checkpoint."
        )
    before, now = stored.get("content_hash"), facts.get("content_hash")
    if before and now and before != now:
        raise CheckpointError(
            f"Checkpoint {where} was trained on other data (content hash {str(before)[:12]}…, "
            f"now {str(now)[:12]}…). Resume with the dataset that it names: {stored.get('dataset_key')}."
        )
    recipe = config.model_dump(mode="json")
    changed = [
        f"{name} {stored['config'].get(name)!r} → {value!r}"
        for name, value in recipe.items()
        if name not in _HARMLESS and stored["config"].get(name) != value
    ]
    if changed:
        recorder.log(f"Warning: not an exact resume, for the recipe has changed: {', '.join(changed)}.")
