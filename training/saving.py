"""Saving beside the training: the loop stands still only while the state is copied to the host.

One save is under way at a time; a second one waits for it. A disk that is full, or that fails,
pauses saving with a warning and never ends the training.
"""

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np

from training import checkpoint_store
from training.assembly import TrainState
from training.checkpoints import amend, size_of
from training.errors import CheckpointError
from training.recorder import CheckpointInfo, Recorder
from training.retention import Retention, thin_out

# What a checkpoint needs beyond its arrays, and leaves to the journal and the log.
_MARGIN_BYTES: Final = 32 << 20


class Saver:
    """Writes the checkpoints of one start under ``root``, one after another, in a thread of its own.

    ``durable_step`` is the step of the newest checkpoint that is complete on the disk.
    """

    def __init__(self, root: Path, *, recorder: Recorder, retention: Retention) -> None:
        self._root, self._recorder, self._retention = root, recorder, retention
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="save-checkpoint")
        self._under_way: Future[None] | None = None
        self._host: TrainState | None = None
        self._needed_bytes = 0
        self.durable_step = 0
        self.paused = ""

    def save(self, state: TrainState, *, step: int, facts: Mapping[str, Any]) -> None:
        """Copy the state and start to write it; returns before it is on the disk.

        Where the disk has no room, saving pauses: the step has no checkpoint, training goes on.
        """
        began = time.perf_counter()
        state = state.saved
        self.wait()
        self._needed_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + _MARGIN_BYTES
        if lacking := self._lacking_bytes():
            self._pause(step, f"the disk of {self._root} lacks {_mib(lacking)} of {_mib(self._needed_bytes)}")
            return
        self._host = self._to_host(state)
        stall = time.perf_counter() - began
        self._under_way = self._pool.submit(self._write, self._host, step, dict(facts), stall)

    def wait(self) -> None:
        """Wait until nothing is being written."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def may_resume(self) -> bool:
        """Tell whether saving is paused and the disk has room again."""
        return bool(self.paused) and not self._lacking_bytes()

    def amend(self, step: int, **facts: Any) -> None:
        """Add facts to the metadata of this step's checkpoint, where it has one."""
        self.wait()
        if self.durable_step != step:
            return
        try:
            amend(self._root / str(step), **facts)
        except (OSError, CheckpointError) as error:
            # It stays as sound as it was; an evaluation it does not know of is made once more.
            self._recorder.log(f"Warning: checkpoint {step} keeps its older metadata: {error}.")

    def close(self) -> None:
        """Wait for what is being written, and end the thread."""
        self.wait()
        self._pool.shutdown()

    def _write(self, state: TrainState, step: int, facts: dict[str, Any], stall: float) -> None:
        began = time.perf_counter()
        try:
            metadata = checkpoint_store.write(self._root, state, step=step, facts=facts)
        except CheckpointError as error:
            self._pause(step, str(error))
            return
        path = self._root / str(step)
        if self.paused:
            self._recorder.log(f"Saving goes on: the checkpoint of step {step} is on the disk.")
        self.durable_step, self.paused = step, ""
        self._recorder.checkpoint(
            CheckpointInfo(
                step=step,
                path=str(path),
                size_bytes=size_of(path),
                metadata=metadata,
                stall_seconds=stall,
                write_seconds=time.perf_counter() - began,
            )
        )
        self._thin_out()

    def _thin_out(self) -> None:
        try:
            removed = thin_out(self._root, self._retention)
        except OSError as error:
            self._recorder.log(f"Warning: older checkpoints could not be deleted: {error}.")
            return
        for gone in removed:
            self._recorder.checkpoint_gone(gone.step, str(gone.path), "retention", gone.freed_bytes)

    def _pause(self, step: int, why: str) -> None:
        if not self.paused:
            self._recorder.log(
                f"Warning: step {step} has no checkpoint, for {why}. Training goes on; it is saved again as "
                "soon as there is room. Delete what is not needed, for example other runs' checkpoints."
            )
        self.paused = why

    def _lacking_bytes(self) -> int:
        return max(0, self._needed_bytes - shutil.disk_usage(self._root).free)

    def _to_host(self, state: TrainState) -> TrainState:
        """Copy the state, on a CPU into the memory of the copy before, which is no longer needed."""
        if jax.tree.leaves(state)[0].devices().pop().platform != "cpu":
            copied: TrainState = jax.device_get(state)
            return copied
        # JAX leaves it untyped.
        jax.block_until_ready(state)  # type: ignore[no-untyped-call]
        if self._host is None:
            self._host = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), state)
        jax.tree.map(np.copyto, self._host, state)
        return self._host


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
