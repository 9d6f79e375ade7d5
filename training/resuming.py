"""Whether a run may go on from a checkpoint, and whether that gives the same bits as never stopping."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.config import HARMLESS_FIELDS, TrainConfig, make_config
from training.errors import CheckpointError, ConfigError
from training.planning import Engine


def require_continuable(
    stored: Mapping[str, Any], config: TrainConfig, facts: Mapping[str, Any], *, where: Path
) -> None:
    """Refuse a checkpoint of other data, or one beyond the last step.

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


def require_exact(
    stored: Mapping[str, Any],
    config: TrainConfig,
    facts: Mapping[str, Any],
    engine: Engine,
    *,
    allowed: bool,
) -> str:
    """Refuse to go on where that would not give the same bits, unless that is allowed.

    A run that starts from another run's checkpoint is a new one, and may differ from it.

    Returns:
        What makes it not exact, in words; empty where it is exact.

    Raises:
        CheckpointError: naming each difference.
    """
    found = _recipe_differences(stored, config) + _engine_differences(stored, engine)
    said = ", ".join(found)
    if said and is_same_run(stored, facts) and not allowed:
        raise CheckpointError(
            f"Going on after step {stored['step']} would not be exact: {said}. "
            "Restore what was there before, or resume with --allow-inexact; the run then says so on its page."
        )
    return said


def is_same_run(stored: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint is of the run that starts from it."""
    # Numbers are those of one database; older checkpoints know no more.
    name = "run_uid" if stored.get("run_uid") and facts.get("run_uid") else "run_id"
    return bool(stored.get(name) == facts.get(name))


def _recipe_differences(stored: Mapping[str, Any], config: TrainConfig) -> list[str]:
    try:
        # With the defaults of fields that are newer than the checkpoint.
        before = make_config(stored["config"]).model_dump(mode="json")
    except ConfigError:
        before = stored["config"]
    return _differences(
        {name: value for name, value in before.items() if name not in HARMLESS_FIELDS},
        {
            name: value
            for name, value in config.model_dump(mode="json").items()
            if name not in HARMLESS_FIELDS
        },
    )


def _engine_differences(stored: Mapping[str, Any], engine: Engine) -> list[str]:
    if "engine" not in stored:
        return []
    return _differences(stored["engine"], engine.facts_that_decide())


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what is not the same; what only one side knows of cannot be compared."""
    return [
        f"{name} {before[name]} → {value}"
        for name, value in now.items()
        if name in before and before[name] != value
    ]
