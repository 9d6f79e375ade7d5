"""Whether an update fits into memory, known before it runs, and which changes would make it fit."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import jax

from training.bases import is_base
from training.config import TrainConfig
from training.errors import TrainingError
from training.free_memory import FreeMemory, free_memory

type PlanOf = Callable[[TrainConfig], MemoryPlan]

# Each change is planned by compiling it, so no more are looked for than a person wants to read.
_ENOUGH_CHANGES: Final = 3


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What one update needs, in bytes; ``available`` is what is free for it, None where unknown.

    ``output`` is what the update returns beyond the memory that it was given. ``source`` says where
    the figures come from, ``place`` where the free memory was looked up.
    """

    parameters: int
    frozen: int
    optimizer: int
    average: int
    batch: int
    temporaries: int
    output: int
    peak: int
    available: int | None
    source: str
    place: str

    @property
    def fits(self) -> bool:
        """Tell whether the peak is within what is free; nothing is refused where that is unknown."""
        return self.available is None or self.peak <= self.available

    def facts(self) -> dict[str, Any]:
        """Return all figures as plain JSON values."""
        return {**asdict(self), "fits": self.fits}

    def __str__(self) -> str:
        """Say in half a sentence what is needed and what is free."""
        if self.available is None:
            return f"needs {size_text(self.peak)}"
        return f"needs {size_text(self.peak)} and {size_text(self.available)} are free {self.place}"


def memory_plan(
    compiled: Any, state: Any, batch: Any, device: jax.Device, *, free: FreeMemory | None = None
) -> MemoryPlan:
    """Read a compiled update's own analysis of its memory.

    ``compiled`` is a `jax.stages.Compiled`; ``state`` (with params, optimizer and average) and
    ``batch`` are its arguments or their descriptions. ``free`` is what was found free before
    anything of the run lay on the device; without it the device is asked now.

    The peak is arguments + results - memory that both share + temporaries + code. A backend
    without such an analysis gives state, batch and one gradient; activations are then missing,
    and ``source`` says so.
    """
    free = free or free_memory(device)
    parts = {
        "parameters": tree_bytes(state.params),
        "frozen": tree_bytes(getattr(state, "frozen", None)),
        "optimizer": tree_bytes(state.optimizer),
        "average": tree_bytes(state.average),
        "batch": tree_bytes(batch),
    }
    analysis = compiled.memory_analysis()
    if analysis is None:
        temporaries, output = parts["parameters"], 0
        peak = tree_bytes(state) + parts["batch"] + temporaries
        source = "shapes alone, without activations"
    else:
        temporaries = analysis.temp_size_in_bytes
        output = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        given = analysis.argument_size_in_bytes + analysis.generated_code_size_in_bytes
        peak = given + output + temporaries
        source = "the compiled update"
    return MemoryPlan(
        **parts,
        temporaries=temporaries,
        output=output,
        peak=peak,
        available=free.bytes,
        source=source,
        place=free.place,
    )


def tree_bytes(tree: Any) -> int:
    """Add up the bytes of all arrays, or descriptions of arrays, in a tree.

    Two numbers of 4 bits share one.
    """
    return sum(_bytes_of(leaf) for leaf in jax.tree.leaves(tree))


def _bytes_of(leaf: Any) -> int:
    whole = int(leaf.size) * int(leaf.dtype.itemsize)
    return -(-whole // 2) if leaf.dtype.name in {"uint4", "int4"} else whole


def size_text(count: int) -> str:
    """Write a number of bytes in GiB, or in MiB below one GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def largest_micro_batch(config: TrainConfig, plan_of: PlanOf) -> int:
    """Return the most rows that fit at once, a divisor of the batch size, by bisection.

    Raises:
        TrainingError: when not even one row fits, with the message of `advise`.
    """
    rows = _largest_fitting(config, plan_of, below=config.batch_size + 1)
    if rows is None:
        raise TrainingError(advise(_changed(config, micro_batch=1), plan_of))
    return rows


def advise(config: TrainConfig, plan_of: PlanOf) -> str:
    """Say by how much a recipe does not fit and which changes, each really planned, would fit.

    For a recipe that fits by its plan, for a device can run out of memory all the same, only
    changes that need less are named.
    """
    plan = plan_of(config)
    listed = f"model={config.model}, batch_size={config.batch_size}, micro_batch={_rows(config)}"
    message = f"The device has too little memory. An update of {listed} {plan}"
    if plan.available is not None and not plan.fits:
        message += f", {size_text(plan.peak - plan.available)} too much"
    found: list[str] = []
    tried: list[str] = []
    for change in _changes(config, plan_of):
        name = " ".join(f"{field}={value}" for field, value in change.items())
        needs = plan_of(_changed(config, **change))
        fits = needs.fits and needs.peak < plan.peak
        (found if fits else tried).append(f"{name} ({size_text(needs.peak)})")
        if len(found) == _ENOUGH_CHANGES:
            break
    if found:
        message += f". These would fit: {', '.join(found)}."
    else:
        message += f". Not enough: {', '.join(tried)}. " if tried else ". "
        message += "Take a smaller model or sequence_length, or free memory there."
    if plan.fits:
        message += " Where it ran out while evaluating, a smaller eval_batch_size helps."
    return message


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or what caused it, is the device's or the host's lack of memory."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    signs = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")
    return any(isinstance(one, MemoryError) or any(sign in str(one) for sign in signs) for one in causes)


def _changes(config: TrainConfig, plan_of: PlanOf) -> Iterator[dict[str, Any]]:
    """Yield changes of a recipe that need less memory, those that change its results least first."""
    rows = _rows(config)
    fitting = _largest_fitting(config, plan_of, below=rows)
    fewer = {"micro_batch": fitting or 1} if rows > 1 else {}
    if fewer:
        yield fewer
    again: dict[str, Any] = {"remat": "block"} if config.remat != "block" else {}
    if again:
        yield again
    smallest = {**again, **({"micro_batch": 1} if rows > 1 else {})}
    if again and fewer and not fitting:
        yield smallest
    if is_base(config.model) and config.method != "qlora":
        leaner = "lora" if config.method == "full" else "qlora"
        yield {"method": leaner}
        if again:
            yield {**again, "method": leaner}
    if config.optimizer not in {"adafactor", "sgd"}:
        yield {"optimizer": "adafactor"}
        if smallest:
            yield {**smallest, "optimizer": "adafactor"}
    if config.batch_size > 1:
        # Without accumulation there is only one copy of the gradients.
        yield {**again, "batch_size": 1, "micro_batch": 0}
    if (shorter := config.sequence_length // 2) >= 16:
        yield {**smallest, "sequence_length": shorter}


def _largest_fitting(config: TrainConfig, plan_of: PlanOf, *, below: int) -> int | None:
    """Return the largest divisor of the batch size under ``below`` that fits, None if none does.

    The whole batch is asked first: it alone needs no memory to add up gradients, so it can fit
    where its half does not.
    """
    sizes = [
        rows for rows in range(1, config.batch_size + 1) if config.batch_size % rows == 0 and rows < below
    ]

    def fits(rows: int) -> bool:
        return plan_of(_changed(config, micro_batch=rows)).fits

    if sizes and sizes[-1] == config.batch_size and fits(sizes.pop()):
        return config.batch_size
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(sizes[middle]) else (low, middle)
    return sizes[low - 1] if low else None


def _rows(config: TrainConfig) -> int:
    return int(config.micro_batch) if config.micro_batch not in {0, "auto"} else config.batch_size


def _changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    return config.model_copy(update=changes)
