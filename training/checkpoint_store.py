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

from training.adapters import has_adapters
from training.assembly import Assembly, Params, TrainState, abstract_state, load_base
from training.bases import find_base, is_base
from training.checkpoints import PARTIAL_PREFIX, STATE_NAME, seal, verify
from training.errors import CheckpointError
from training.hashing import leaf_hashes, params_hash
from training.leaves import named_leaves
from training.rendering import RENDERING_VERSION
from training.tokenizer import require_same_tokenizer


def describe(assembly: Assembly, *, step: int, loss: float | None) -> dict[str, Any]:
    """Say what a checkpoint of this step holds, as plain JSON values for its metadata."""
    return {
        "step": step,
        "loss": loss if loss is not None and math.isfinite(loss) else None,
        # The rate of the last update that is in these parameters.
        "learning_rate": float(assembly.schedule(max(0, step - 1))),
        "device": {"platform": assembly.device.platform, "device_kind": assembly.device.device_kind},
        "config": assembly.config.model_dump(mode="json"),
        "model": assembly.shape.model_dump(mode="json"),
        "tokenizer_hash": assembly.form.hash,
        "rendering_version": RENDERING_VERSION,
        "created_at": time.time(),
        **({"base": base_facts(assembly)} if is_base(assembly.config.model) else {}),
    }


def base_facts(assembly: Assembly) -> dict[str, Any]:
    """Say which base model the weights began with, as plain JSON values."""
    record = find_base(assembly.config.model).record
    named = record.model_dump(include={"name", "source", "revision", "family", "licence", "content_hash"})
    return dict(named)


def write(root: Path, state: TrainState, *, step: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write a state that lies on the host as ``root/<step>/``; return its metadata once it is durable.

    What is frozen is no part of it.

    What was written is read back and compared, array by array, before it gets its name.

    Raises:
        CheckpointError: when it cannot be written or reads back differently; nothing is left of it.
    """
    partial = root / f"{PARTIAL_PREFIX}{step}-{os.getpid()}"
    _clear(partial)
    leaves = named_leaves(state)
    arrays = leaf_hashes(state)
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.Composite(**{STATE_NAME: ocp.args.StandardSave(leaves)})
            checkpointer.save(partial.absolute(), args=arguments)
        _require_arrays(_read(partial, leaves), arrays, where=f"The checkpoint of step {step}")
        own = {"arrays": arrays, "params_hash": params_hash(state.params)}
        return seal(partial, root / str(step), {**facts, **own})
    # TensorStore wraps what the disk says into errors of its own.
    except (OSError, ValueError, RuntimeError, CheckpointError) as error:
        _clear(partial)
        raise CheckpointError(
            f"The checkpoint of step {step} could not be written to {root}: {error}. "
            "Older checkpoints are untouched."
        ) from error


def _clear(partial: Path) -> None:
    """Delete what an unfinished save left; Orbax first writes under a longer name."""
    for path in partial.parent.glob(f"{partial.name}*"):
        shutil.rmtree(path, ignore_errors=True)


def restore(step_dir: Path, *, assembly: Assembly, frozen: Params | None = None) -> TrainState:
    """Read a verified checkpoint onto the assembly's device, and what is frozen beside it where not given.

    Raises:
        CheckpointError: when it is damaged, or its tokenizer, model or arrays are other ones.
    """
    metadata = verify(step_dir)
    require_fit(metadata, assembly, where=f"Checkpoint {step_dir}")
    wanted = abstract_state(assembly).saved
    described = named_leaves(wanted)
    leaves = _read(step_dir, described)
    _require_shapes(leaves, described, where=f"Checkpoint {step_dir}")
    if "arrays" in metadata:
        _require_arrays(leaves, metadata["arrays"], where=f"Checkpoint {step_dir}")
    on_host = jax.tree.unflatten(jax.tree.structure(wanted), [leaves[name] for name in described])
    # A copy even where the device could use the host's memory: updates give it away.
    state: TrainState = jax.device_put(on_host, assembly.device, may_alias=False)
    if not has_adapters(assembly.config):
        return state
    return state._replace(frozen=load_base(assembly) if frozen is None else frozen)


def restore_params(step_dir: Path, *, assembly: Assembly, frozen: Params | None = None) -> Any:
    """Read what a verified checkpoint evaluates: its moving average, else its parameters, and its base.

    Raises:
        CheckpointError: as `restore`.
    """
    return assembly.weights(restore(step_dir, assembly=assembly, frozen=frozen))


def require_fit(metadata: Mapping[str, Any], assembly: Assembly, *, where: str) -> None:
    """Refuse a checkpoint of another model, tokenizer or text form.

    Raises:
        CheckpointError: naming each field with both values.
    """
    require_same_tokenizer(str(metadata.get("tokenizer_hash", "")), assembly.form.hash, where=where)
    if metadata.get("rendering_version") != RENDERING_VERSION:
        raise CheckpointError(
            f"{where} was trained on another text form of traces (version "
            f"{metadata.get('rendering_version')}, here {RENDERING_VERSION}); train anew."
        )
    if has_adapters(assembly.config):
        _require_same_base(metadata, assembly, where=where)
    stored, wanted = metadata.get("model", {}), assembly.shape.model_dump(mode="json")
    if differing := _differences(stored, wanted):
        raise CheckpointError(
            f"{where} does not fit the model: {differing}. "
            "Choose the model that it was trained with, or start without it."
        )


def _require_same_base(metadata: Mapping[str, Any], assembly: Assembly, *, where: str) -> None:
    """Refuse adapters beside other weights than those that they were trained with."""
    base = find_base(assembly.config.model).record
    stored = metadata.get("base", {})
    if stored.get("content_hash") != base.content_hash:
        raise CheckpointError(
            f"{where} holds adapters of the base model {stored.get('name')} (content hash "
            f"{str(stored.get('content_hash'))[:12]}…), and {base.name} here is another one "
            f"({base.content_hash[:12]}…). Adapters mean nothing beside other weights: name their own base, "
            "or begin anew."
        )


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = sorted(stored.keys() | wanted.keys())
    return ", ".join(
        f"{name} is {stored.get(name)!r} there and {wanted.get(name)!r} here"
        for name in names
        if stored.get(name) != wanted.get(name)
    )


def _read(step_dir: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Read the named arrays into the host's memory."""
    # Orbax takes arrays as descriptions; these take no memory.
    target = {name: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape) for name, leaf in wanted.items()}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            arguments = ocp.args.Composite(**{STATE_NAME: ocp.args.StandardRestore(target)})
            restored: dict[str, Any] = checkpointer.restore(step_dir.absolute(), args=arguments)[STATE_NAME]
    except Exception as error:  # Orbax and TensorStore raise many kinds, none of their own
        raise CheckpointError(f"Checkpoint {step_dir} cannot be restored: {error}") from error
    return restored


def _require_shapes(leaves: Mapping[str, Any], wanted: Mapping[str, Any], *, where: str) -> None:
    for name, leaf in wanted.items():
        if np.shape(leaves[name]) != leaf.shape or leaves[name].dtype != leaf.dtype:
            raise CheckpointError(
                f"{where} does not fit the model: {name} has shape "
                f"{np.shape(leaves[name])} there and {leaf.shape} here."
            )


def _require_arrays(leaves: Mapping[str, Any], hashes: Mapping[str, str], *, where: str) -> None:
    """Make sure that arrays have the bits that lay in memory when they were saved."""
    for name, found in leaf_hashes(leaves).items():
        if found != hashes.get(name):
            raise CheckpointError(f"{where} does not read back as it was in memory: {name} has other values.")
