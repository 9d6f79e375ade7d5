"""Saving and restoring the state of training with Orbax."""

import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from training.assembly import Assembly, TrainState, abstract_state, named_leaves
from training.checkpoints import PARTIAL_PREFIX, STATE_NAME, seal, size_of, verify
from training.errors import CheckpointError
from training.model_config import ModelConfig
from training.recorder import CheckpointInfo
from training.rendering import RENDERING_VERSION
from training.tokenizer import TOKENIZER, require_same_tokenizer


def save(
    root: Path,
    state: TrainState,
    *,
    assembly: Assembly,
    facts: Mapping[str, Any],
    loss: float | None,
) -> CheckpointInfo:
    """Write parameters, optimizer, key and step as ``root/<step>/`` and return once it is durable.

    ``facts`` go into its metadata; the store's own entries win over equal names.

    Raises:
        CheckpointError: when the directory cannot be written.
    """
    step = int(state.step)
    final, partial = root / str(step), root / f"{PARTIAL_PREFIX}{step}-{os.getpid()}"
    own = {
        "step": step,
        "loss": loss if loss is not None and math.isfinite(loss) else None,
        # The rate of the last update that is in these parameters.
        "learning_rate": float(assembly.schedule(max(0, step - 1))),
        "device": {"platform": assembly.device.platform, "device_kind": assembly.device.device_kind},
        "config": assembly.config.model_dump(mode="json"),
        "model": assembly.shape.model_dump(mode="json"),
        "tokenizer_hash": TOKENIZER.hash,
        "rendering_version": RENDERING_VERSION,
        "created_at": time.time(),
    }
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.Composite(**{STATE_NAME: ocp.args.StandardSave(named_leaves(state))})
            checkpointer.save(partial.absolute(), args=arguments)
        metadata = seal(partial, final, {**facts, **own})
    except (OSError, ValueError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"The checkpoint of step {step} could not be written to {root}: {error}. "
            "Older checkpoints are untouched."
        ) from error
    return CheckpointInfo(step=step, path=str(final), size_bytes=size_of(final), metadata=metadata)


def restore(step_dir: Path, *, assembly: Assembly) -> TrainState:
    """Read a verified checkpoint onto the assembly's device.

    Raises:
        CheckpointError: when it is damaged, or its tokenizer, model or arrays are other ones.
    """
    metadata = verify(step_dir)
    require_fit(metadata, assembly.shape, where=f"Checkpoint {step_dir}")
    wanted = abstract_state(assembly)
    leaves = _read(step_dir, named_leaves(wanted), assembly.device)
    state: TrainState = jax.tree.unflatten(jax.tree.structure(wanted), list(leaves.values()))
    return state


def restore_params(step_dir: Path, *, assembly: Assembly) -> Any:
    """Read what a verified checkpoint evaluates: its moving average, else its parameters.

    Raises:
        CheckpointError: as `restore`.
    """
    return assembly.weights(restore(step_dir, assembly=assembly))


def require_fit(metadata: Mapping[str, Any], shape: ModelConfig, *, where: str) -> None:
    """Refuse a checkpoint of another model, tokenizer or text form.

    Raises:
        CheckpointError: naming each field with both values.
    """
    require_same_tokenizer(str(metadata.get("tokenizer_hash", "")), where=where)
    if metadata.get("rendering_version") != RENDERING_VERSION:
        raise CheckpointError(
            f"{where} was trained on another text form of traces (version "
            f"{metadata.get('rendering_version')}, here {RENDERING_VERSION}); train anew."
        )
    stored, wanted = metadata.get("model", {}), shape.model_dump(mode="json")
    if differing := _differences(stored, wanted):
        raise CheckpointError(
            f"{where} does not fit the model: {differing}. "
            "Choose the model that it was trained with, or start without it."
        )


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = sorted(stored.keys() | wanted.keys())
    return ", ".join(
        f"{name} is {stored.get(name)!r} there and {wanted.get(name)!r} here"
        for name in names
        if stored.get(name) != wanted.get(name)
    )


def _read(step_dir: Path, wanted: Mapping[str, Any], device: jax.Device) -> dict[str, Any]:
    placement = jax.sharding.SingleDeviceSharding(device)
    target = {
        # JAX leaves the constructor untyped.
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placement)  # type: ignore[no-untyped-call]
        for name, leaf in wanted.items()
    }
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.Composite(**{STATE_NAME: ocp.args.StandardRestore(target)})
            restored = checkpointer.restore(step_dir.absolute(), args=arguments)[STATE_NAME]
    except Exception as error:  # Orbax and TensorStore raise many kinds, none of their own
        raise CheckpointError(f"Checkpoint {step_dir} cannot be restored: {error}") from error
    for name, leaf in wanted.items():
        if np.shape(restored[name]) != leaf.shape or restored[name].dtype != leaf.dtype:
            raise CheckpointError(
                f"Checkpoint {step_dir} does not fit the model: {name} has shape "
                f"{np.shape(restored[name])} there and {leaf.shape} here."
            )
    return {name: restored[name] for name in wanted}
