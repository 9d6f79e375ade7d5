"""Rows of tokens in the two layouts, and batches cut from them. Needs numpy, no JAX.

Padded: one trace a row, filled up to one width. Packed: several traces a row, told apart by
segment ids. Either way a target is the token after its input within the same trace, the prompt
is not supervised, and the completion with its EOS is.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from training.tokenized import IntArray, Traces, round_up


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one update.

    ``inputs`` and ``targets`` have shape (rows, width). ``weights`` is 1.0 where the target is
    supervised, else 0.0. ``segments`` is 0 at padding and else 1, 2, … by trace within the row;
    None where every row is one trace. ``real_tokens`` counts the positions that are no padding.
    """

    inputs: IntArray
    targets: IntArray
    weights: npt.NDArray[np.float32]
    segments: IntArray | None
    real_tokens: int


@dataclass(frozen=True, slots=True)
class TraceTable:
    """What is known of every trace in the rows, in their order.

    ``sources`` are numbers among the examples, ``sizes`` tokens with EOS where it was not cut off,
    ``prompt_sizes`` tokens of the prompt, ``cut_tokens`` what was cut off.
    """

    sources: npt.NDArray[np.int64]
    sizes: IntArray
    prompt_sizes: IntArray
    cut_tokens: IntArray

    @property
    def supervised(self) -> npt.NDArray[np.int64]:
        """Supervised targets of each trace; its first token is never a target."""
        return np.maximum(self.sizes.astype(np.int64) - np.maximum(self.prompt_sizes, 1), 0)


class AnyRows(Protocol):
    """What training needs of rows, whatever their layout."""

    @property
    def width(self) -> int:
        """Positions of each row."""

    @property
    def reach(self) -> int:
        """Positions that the longest trace takes: no visible key lies further back."""

    @property
    def max_segments(self) -> int:
        """Traces in the fullest row."""

    @property
    def table(self) -> TraceTable:
        """The traces in the rows."""

    def __len__(self) -> int: ...

    def batch(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Cut the given rows."""

    def facts(self) -> dict[str, Any]:
        """Describe layout and utilisation, ready for JSON."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One trace a row, padded to ``width`` positions."""

    traces: Traces
    width: int

    def __len__(self) -> int:
        return len(self.traces)

    @property
    def reach(self) -> int:
        """The width: nothing is skipped in a row that is one trace."""
        return self.width

    @property
    def max_segments(self) -> int:
        """One."""
        return 1

    @property
    def table(self) -> TraceTable:
        """The traces, one a row."""
        traces = self.traces
        return TraceTable(traces.sources, traces.sizes, traces.prompt_sizes, traces.cut_tokens)

    def batch(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Cut the given rows, shape (indices, width)."""
        traces = self.traces
        columns = np.arange(self.width + 1)
        sizes, prompt_sizes = traces.sizes[indices, None], traces.prompt_sizes[indices, None]
        places = traces.starts[indices, None] + np.minimum(columns, sizes - 1)
        tokens = np.where(columns < sizes, traces.tokens[places], traces.pad).astype(np.int32)
        supervised = (columns[1:] >= prompt_sizes) & (columns[1:] < sizes)
        return Batch(
            inputs=tokens[:, :-1],
            targets=tokens[:, 1:],
            weights=supervised.astype(np.float32),
            segments=None,
            real_tokens=int(np.sum(sizes - 1)),
        )

    def facts(self) -> dict[str, Any]:
        """Describe the rows."""
        return describe(self, layout="padded", dropped=self.traces.dropped)


def describe(rows: AnyRows, *, layout: str, dropped: int) -> dict[str, Any]:
    """Count traces, real tokens and positions, and what padding alone would have cost.

    A real token is a position with a next token; a trace of n tokens has n - 1. ``longest`` is in
    tokens. ``utilisation`` is the share of positions that are real tokens, and
    ``padded_utilisation`` the same with one trace a row.
    """
    table = rows.table
    real, traces = int(np.sum(table.sizes - 1, dtype=np.int64)), len(table.sizes)
    longest, positions = int(table.sizes.max()), len(rows) * rows.width
    return {
        "layout": layout,
        "rows": len(rows),
        "width": rows.width,
        "traces": traces,
        "real_tokens": real,
        "positions": positions,
        "utilisation": real / positions,
        "padded_utilisation": real / (traces * round_up(longest - 1)),
        "longest": longest,
        "reach": rows.reach,
        "max_segments": rows.max_segments,
        "dropped": dropped,
        "cut": int(np.count_nonzero(table.cut_tokens)),
        "cut_tokens": int(np.sum(table.cut_tokens, dtype=np.int64)),
    }
