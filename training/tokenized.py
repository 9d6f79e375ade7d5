"""Traces as tokens in one flat array, and what becomes of those that are too long. Needs numpy, no JAX."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.errors import ConfigError
from training.examples import TraceExample
from training.rendering import Target
from training.text_form import BYTES, TextForm

IntArray = npt.NDArray[np.int32]
LongTraces = Literal["refuse", "drop", "cut"]


@dataclass(frozen=True, slots=True)
class Traces:
    """Prompt, completion and end of every trace.

    Trace i is ``tokens[starts[i] : starts[i] + sizes[i]]``; its first ``prompt_sizes[i]`` tokens
    are the prompt; ``pad`` fills what they leave of a row. ``sources[i]`` is its number among the
    examples it was made from.
    ``cut_tokens[i]`` counts what was cut off its end, mostly 0, and ``dropped`` the traces left out.
    """

    tokens: npt.NDArray[Any]
    starts: npt.NDArray[np.int64]
    sizes: IntArray
    prompt_sizes: IntArray
    sources: npt.NDArray[np.int64]
    cut_tokens: IntArray
    dropped: int = 0
    pad: int = BYTES.pad

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def positions(self) -> IntArray:
        """Positions that each trace takes in a row: every token but the last has a next one."""
        return self.sizes - 1


def tokenize(
    examples: Sequence[TraceExample], *, target: Target, split: str = "train", form: TextForm = BYTES
) -> Traces:
    """Turn every example into tokens, in order.

    Raises:
        ConfigError: for no examples.
    """
    if not examples:
        raise ConfigError(f"There is no {split} example in the dataset; seed or import one that has some.")
    # Two bytes a token where they suffice: rows of a large dataset are read from a file.
    kind = "H" if form.vocab_size <= 2**16 else "I"
    flat = array(kind)
    sizes, prompt_sizes = np.empty(len(examples), np.int32), np.empty(len(examples), np.int32)
    for i, example in enumerate(examples):
        tokens, prompt_sizes[i] = form.trace(example, target)
        flat.extend(tokens)
        sizes[i] = len(tokens)
    ends = np.cumsum(sizes, dtype=np.int64)
    return Traces(
        tokens=np.frombuffer(flat, np.dtype(kind)),
        starts=ends - sizes,
        sizes=sizes,
        prompt_sizes=prompt_sizes,
        sources=np.arange(len(examples), dtype=np.int64),
        cut_tokens=np.zeros(len(examples), np.int32),
        pad=form.pad,
    )


def fit(traces: Traces, *, sequence_length: int, long_traces: LongTraces, split: str = "train") -> Traces:
    """Refuse, drop or cut the traces that do not fit into ``sequence_length`` positions.

    A trace of n tokens takes n - 1 positions, so a cut one keeps its first ``sequence_length`` + 1.

    Raises:
        ConfigError: when some are too long and that is to be refused (how many, how long, what to
            set), or when none is left.
    """
    too_long = traces.positions > sequence_length
    if not too_long.any():
        return traces
    count, total, longest = int(too_long.sum()), len(traces), int(traces.sizes.max())
    needed = round_up(longest - 1)
    if long_traces == "refuse":
        raise ConfigError(
            f"{count} of {total} {split} traces are longer than sequence_length={sequence_length} allows "
            f"(a trace of n tokens takes n - 1 positions); the longest has {longest} tokens. Set "
            f"sequence_length={longest - 1} or more, for example --set sequence_length={needed}, or "
            "leave the long ones out with --set long_traces=drop."
        )
    if long_traces == "cut":
        kept = np.minimum(traces.sizes, sequence_length + 1)
        return replace(traces, sizes=kept, cut_tokens=traces.cut_tokens + (traces.sizes - kept))
    if count == total:
        raise ConfigError(
            f"long_traces=drop leaves nothing: all {total} {split} traces are longer than "
            f"sequence_length={sequence_length} allows. Set sequence_length={needed}."
        )
    keep = ~too_long
    return replace(
        traces,
        starts=traces.starts[keep],
        sizes=traces.sizes[keep],
        prompt_sizes=traces.prompt_sizes[keep],
        sources=traces.sources[keep],
        cut_tokens=traces.cut_tokens[keep],
        dropped=traces.dropped + count,
    )


def round_up(size: int, multiple: int = 8) -> int:
    """Round up to a multiple, at least one."""
    return max(1, -(-size // multiple)) * multiple
