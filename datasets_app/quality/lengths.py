"""How long traces are in tokens, and what a sequence length would cut."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from training.examples import TraceExample
from training.rendering import completion_text, prompt_text, render
from training.tokenizer import TOKENIZER

PARTS = ("prompt", "steps", "answer", "total")
TOKENIZER_NAME = "utf-8 bytes"
TABLE_LENGTHS = (128, 256, 512, 1024, 2048, 4096)
BARS = 30
_NICE = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a trace as training renders it. ``answer`` counts its ``#`` mark and the end token."""

    prompt: int
    steps: int
    answer: int

    @property
    def total(self) -> int:
        """Tokens of the row."""
        return self.prompt + self.steps + self.answer

    def cuts_answer(self, sequence_length: int) -> bool:
        """Tell whether the end of the answer or its end token lies beyond the sequence."""
        return self.total > sequence_length

    def has_no_target(self, sequence_length: int) -> bool:
        """Tell whether nothing but prompt is left to be trained on."""
        return self.prompt >= sequence_length


def lengths_of(prompt: str, steps: Sequence[str], final_answer: str) -> Lengths:
    """Count the tokens of a trace."""
    example = TraceExample("", prompt, tuple(steps), final_answer)
    before = TOKENIZER.count(prompt_text(prompt))
    answer = TOKENIZER.count(render((), final_answer)) + 1
    completion = TOKENIZER.count(completion_text(example, "trace")) + 1
    return Lengths(before, completion - answer, answer)


class LengthCounter:
    """Counts the lengths of many traces exactly; memory grows with distinct lengths only."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[int]] = {part: Counter() for part in PARTS}
        self._prompts_by_total: Counter[int] = Counter()

    def add(self, lengths: Lengths) -> None:
        """Take in one trace."""
        for part in PARTS:
            self.counts[part][getattr(lengths, part)] += 1

    def summary(self) -> dict[str, dict[str, Any]]:
        """Give count, total, mean, percentiles and maximum of each part."""
        return {part: summarise(counts) for part, counts in self.counts.items()}

    def table(self, lengths: Sequence[int]) -> list[dict[str, int]]:
        """Say what each sequence length would lose."""
        return [{"sequence_length": length, **self.losses(length)} for length in lengths]

    def losses(self, sequence_length: int) -> dict[str, int]:
        """Count rows that are too long, tokens beyond the sequence, and rows with prompt alone."""
        totals, prompts = self.counts["total"], self.counts["prompt"]
        long = {size: rows for size, rows in totals.items() if size > sequence_length}
        return {
            "rows_too_long": sum(long.values()),
            "tokens_lost": sum((size - sequence_length) * rows for size, rows in long.items()),
            "rows_without_target": sum(rows for size, rows in prompts.items() if size >= sequence_length),
        }


def percentile(counts: Mapping[int, int], share: float) -> int:
    """Give the least length that at least ``share`` of the traces do not exceed (nearest rank)."""
    rank = max(1, ceil(share * sum(counts.values())))
    for length in sorted(counts):
        rank -= counts[length]
        if rank <= 0:
            return length
    return 0


def summarise(counts: Mapping[int, int]) -> dict[str, Any]:
    """Describe a distribution of lengths."""
    traces = sum(counts.values())
    total = sum(length * rows for length, rows in counts.items())
    return {
        "traces": traces,
        "total": total,
        "mean": round(total / traces, 2) if traces else 0.0,
        "p50": percentile(counts, 0.50),
        "p95": percentile(counts, 0.95),
        "p99": percentile(counts, 0.99),
        "max": max(counts, default=0),
    }


def histogram(counts: Mapping[int, int]) -> dict[str, Any]:
    """Count lengths in at most 30 bars of one round width; bar i starts at ``i * width + start``."""
    if not counts:
        return {"start": 0, "width": 1, "counts": []}
    low, high = min(counts), max(counts)
    span = high - low + 1
    width, scale = 1, 1
    while ceil(span / width) + 1 > BARS and width * BARS < span + width:
        nice = [one * scale for one in _NICE if one * scale > width]
        scale, width = (scale, nice[0]) if nice else (scale * 1000, 1000 * scale)
    start = low // width * width
    bars = [0] * ((high - start) // width + 1)
    for length, rows in counts.items():
        bars[(length - start) // width] += rows
    return {"start": start, "width": width, "counts": bars}
