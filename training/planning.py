"""From a recipe, its rows and a device to a compiled update that fits into memory.

The update is compiled for mere descriptions of its arrays, so that a recipe that does not
fit is refused before anything large exists.
"""

import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import jax
import numpy as np

from training import memory
from training.assembly import Assembly, abstract_state, assemble
from training.code_facts import training_code
from training.config import TrainConfig
from training.data import AnyRows, round_up
from training.device import cpu_threads
from training.errors import OutOfMemoryError, TrainingError
from training.free_memory import free_memory
from training.memory import MemoryPlan
from training.recorder import Recorder
from training.step import CompiledStep, DeviceBatch, compile_step

_LIBRARIES: Final = ("jax", "jaxlib", "flax", "optax", "numpy")


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs: the fixed parts, the compiled update and the memory that it needs."""

    assembly: Assembly
    step: CompiledStep
    plan: MemoryPlan

    @property
    def micro_batch(self) -> int:
        """Rows that are computed at once."""
        return self.step.micro_batch

    def facts(self) -> dict[str, Any]:
        """Say what was compiled, as plain JSON values."""
        return {"micro_batch": self.micro_batch, "memory": self.plan.facts()}

    def resolved(self) -> dict[str, Any]:
        """Give the recipe with everything that was left to us filled in."""
        return {
            **self.assembly.config.model_dump(mode="json"),
            "micro_batch": self.micro_batch,
            "attention": self.assembly.attention.name,
            "precision": "bf16" if self.assembly.dtype == "bfloat16" else "fp32",
        }

    def facts_that_decide(self) -> dict[str, Any]:
        """Say all beyond recipe, data and code that the bits of an update depend on."""
        device = self.assembly.device
        return {
            "micro_batch": self.micro_batch,
            "attention": self.assembly.attention.name,
            "compute_dtype": str(self.assembly.dtype),
            "platform": device.platform,
            "device_kind": device.device_kind,
            "devices": 1,
            # XLA splits sums on a CPU by the number of its threads.
            **({"threads": cpu_threads()} if device.platform == "cpu" else {}),
            "xla_flags": os.environ.get("XLA_FLAGS", ""),
            "training_code": training_code(),
            **{name: importlib.metadata.version(name) for name in self._libraries()},
        }

    def _libraries(self) -> tuple[str, ...]:
        # It makes and reads the numbers in few bits.
        return (*_LIBRARIES, "qwix") if self.assembly.config.method == "qlora" else _LIBRARIES


class Planner:
    """Compiles the update of a recipe, and of recipes near it, and knows what each would need."""

    def __init__(self, config: TrainConfig, rows: AnyRows, device: jax.Device) -> None:
        self.config, self._rows, self._device = config, rows, device
        self._free = free_memory(device)
        self.assembly = assemble(config, device, rows=rows)
        self._engines: dict[TrainConfig, Engine] = {}

    def engine(self, recorder: Recorder, *, step: int, micro_batch: int | None = None) -> Engine:
        """Compile the update, with the largest micro-batch that fits where that is left to us.

        ``micro_batch`` is what was chosen at an earlier start, and is taken again.

        Raises:
            TrainingError: when it does not fit: by how much, and which changes would make it fit.
        """
        recorder.phase("compiling", step)
        config = self.config
        if config.micro_batch == "auto" and micro_batch:
            config = config.model_copy(update={"micro_batch": micro_batch})
        elif config.micro_batch == "auto":
            rows = memory.largest_micro_batch(config, self.plan_of)
            config = config.model_copy(update={"micro_batch": rows})
            recorder.log(f"micro_batch=auto takes {rows} of {config.batch_size} rows at once.")
        engine = self._engine_of(config)
        if not engine.plan.fits:
            raise TrainingError(memory.advise(config, self.plan_of))
        compiled = engine.step
        recorder.log(
            f"Compiled the update in {compiled.lowering_seconds:.1f} + {compiled.compile_seconds:.1f} s "
            f"(lowering, compiling); rows of {self._rows.width} tokens; {engine.plan}."
        )
        self._engines.clear()
        return engine

    def plan_of(self, config: TrainConfig) -> MemoryPlan:
        """Say what a recipe like this one would need, by compiling it."""
        return self._engine_of(config).plan

    @contextmanager
    def memory_message(self) -> Iterator[None]:
        """Turn the device's being out of memory into the same message as before the run."""
        try:
            yield
        except Exception as error:  # which class it is depends on where JAX was
            if not memory.is_out_of_memory(error):
                raise
            raise OutOfMemoryError(memory.advise(self.config, self.plan_of)) from error

    def _engine_of(self, config: TrainConfig) -> Engine:
        if config not in self._engines:
            # Only the micro-batch differs most of the time, and no fixed part depends on it.
            same = config.model_copy(update={"micro_batch": self.config.micro_batch}) == self.config
            assembly = self.assembly if same else assemble(config, self._device, rows=self._rows)
            state, batch = self._described(abstract_state(assembly)), self._batch(config)
            rows = config.batch_size if config.micro_batch in (0, "auto") else int(config.micro_batch)
            compiled = compile_step(assembly, self._rows, state, batch, micro_batch=rows)
            plan = memory.memory_plan(compiled.executable, state, batch, self._device, free=self._free)
            self._engines[config] = Engine(assembly, compiled, plan)
        return self._engines[config]

    def _batch(self, config: TrainConfig) -> DeviceBatch:
        """Describe a batch; no row is read."""
        shape = (config.batch_size, min(self._rows.width, round_up(config.sequence_length)))
        ids, weights = self._array(shape, np.int32), self._array(shape, np.float32)
        return DeviceBatch(ids, ids, weights, ids if config.packing else None)

    def _array(self, shape: tuple[int, ...], dtype: Any) -> Any:
        placement = jax.sharding.SingleDeviceSharding(self._device)
        # JAX leaves the constructor untyped.
        return jax.ShapeDtypeStruct(shape, dtype, sharding=placement)  # type: ignore[no-untyped-call]

    def _described(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: self._array(leaf.shape, leaf.dtype), tree)
