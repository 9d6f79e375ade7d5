"""Several traces a row: which go together, and rows made of them. Needs numpy, no JAX."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.rows import Batch, TraceTable, describe
from training.tokenized import IntArray, Traces

# Counts up whenever the same traces would come to lie elsewhere, or the stored form changes.
PACKING_VERSION: Final = 1


def best_fit_decreasing(lengths: IntArray, capacity: int) -> list[list[int]]:
    """Group the items into bins of ``capacity``; returns the items of each bin.

    The longest go first, equal ones in order, and each into the bin that it fills best: the one
    with the least room that suffices (best-fit decreasing; Johnson, 1973: at most 11/9 of the
    fewest bins, and one or two more). Bins are kept by their room, and one integer has a bit
    for each room that occurs, so that an item costs no walk over bins: its time depends on
    the capacity alone.

    Raises:
        ValueError: for an item that is longer than a bin, or of no length.
    """
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= capacity:
        raise ValueError(f"lengths must lie between 1 and {capacity}")
    bins: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    for item, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            chosen = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
            bins[chosen].append(item)
        else:
            room, chosen = capacity, len(bins)
            bins.append([item])
        if left := room - length:
            with_room[left].append(chosen)
            rooms |= 1 << left
    return bins


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Several traces a row.

    ``inputs`` (rows, width) holds each trace without its last token, one after the other from the
    left, then ``pad``. Row r holds the traces ``row_starts[r]`` up to ``row_starts[r + 1]`` of
    the table; trace i begins at position ``begins[i]`` and ``last_tokens[i]`` is its last token.
    """

    inputs: npt.NDArray[Any]
    row_starts: npt.NDArray[np.int64]
    begins: IntArray
    last_tokens: IntArray
    table: TraceTable
    dropped: int
    pad: int
    cache: str = "none"

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def width(self) -> int:
        """Positions of each row."""
        return int(self.inputs.shape[1])

    @property
    def reach(self) -> int:
        """Positions that the longest trace takes."""
        return int(self.table.sizes.max()) - 1

    @property
    def max_segments(self) -> int:
        """Traces in the fullest row."""
        return int(np.diff(self.row_starts).max())

    def batch(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Cut the given rows, shape (indices, width)."""
        counts = self.row_starts[indices + 1] - self.row_starts[indices]
        rows = np.repeat(np.arange(len(indices)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        traces = self.row_starts[indices][rows] + within
        begins, sizes = self.begins[traces], self.table.sizes[traces]
        ends = begins + sizes - 1
        inputs = self.inputs[indices].astype(np.int32)
        targets = np.full_like(inputs, self.pad)
        targets[:, :-1] = inputs[:, 1:]
        targets[rows, ends - 1] = self.last_tokens[traces]
        # A position is supervised from the prompt's last token on: its target is the first after it.
        supervised = begins + np.minimum(np.maximum(self.table.prompt_sizes[traces], 1), sizes) - 1
        starts = np.zeros((len(indices), self.width + 1), np.int32)
        starts[rows, begins] = 1
        filled = np.arange(self.width) < ends[np.cumsum(counts) - 1][:, None]
        return Batch(
            inputs=inputs,
            targets=targets,
            weights=_between(starts.shape, rows, supervised, ends).astype(np.float32),
            segments=np.where(filled, np.cumsum(starts, axis=1, dtype=np.int32)[:, :-1], 0),
            real_tokens=int(np.sum(sizes - 1)),
        )

    def facts(self) -> dict[str, Any]:
        """Describe the rows."""
        return describe(self, layout="packed", dropped=self.dropped) | {"cache": self.cache}


def pack(traces: Traces, width: int) -> PackedRows:
    """Lay the traces, none of which takes more than ``width`` positions, into rows of that width."""
    groups = best_fit_decreasing(traces.positions, width)
    row_starts = np.zeros(len(groups) + 1, np.int64)
    row_starts[1:] = np.cumsum([len(group) for group in groups])
    order = np.fromiter((i for group in groups for i in group), np.int64, len(traces))
    begins = np.empty(len(traces), np.int32)
    inputs = np.full((len(groups), width), traces.pad, traces.tokens.dtype)
    starts, positions = traces.starts.tolist(), traces.positions.tolist()
    placed = 0
    for row, group in zip(inputs, groups, strict=True):
        at = 0
        for i in group:
            end = at + positions[i]
            row[at:end] = traces.tokens[starts[i] : starts[i] + positions[i]]
            begins[placed] = at
            at, placed = end, placed + 1
    return PackedRows(
        inputs=inputs,
        row_starts=row_starts,
        begins=begins,
        last_tokens=traces.tokens[traces.starts + traces.sizes - 1][order].astype(np.int32),
        table=TraceTable(
            sources=traces.sources[order],
            sizes=traces.sizes[order],
            prompt_sizes=traces.prompt_sizes[order],
            cut_tokens=traces.cut_tokens[order],
        ),
        dropped=traces.dropped,
        pad=traces.pad,
    )


def _between(
    shape: tuple[int, ...], rows: npt.NDArray[np.int64], first: IntArray, last: IntArray
) -> npt.NDArray[np.bool_]:
    """Mark the positions from ``first`` up to ``last`` of each trace; shape is one column wider."""
    steps = np.zeros(shape, np.int32)
    np.add.at(steps, (rows, first), 1)
    np.add.at(steps, (rows, last), -1)
    return np.cumsum(steps, axis=1)[:, :-1] > 0
