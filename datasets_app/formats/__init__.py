"""The shapes in which traces come and leave: one module a shape.

A module has ``NAME``, ``SUMMARY``, ``FIELDS`` (what it reads, for ``--map``), ``LOSSLESS``, ``matches``
and ``read``; ``write`` where the shape can carry a trace. A new one is a file here, a place in
`FORMATS`, and a test.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast

import msgspec

from datasets_app.formats import (
    alpaca,
    equation,
    gsm8k,
    icot,
    messages,
    prm800k,
    problem_solution,
    prompt_completion,
    question_answer,
    question_steps,
    sft,
    sharegpt,
    stepwise,
    trace,
)
from datasets_app.formats.reading import Fields, Reading
from datasets_app.models import Dataset
from datasets_app.selectors import MemberTrace, member_traces
from tunix_site.errors import InvalidInputError

__all__ = ["FORMATS", "WRITERS", "Format", "detect", "export_lines", "format_named", "line_of", "writer_for"]

type Writer = Callable[[MemberTrace], dict[str, Any] | str]


class Format(Protocol):
    """What a module of this package offers."""

    NAME: str
    SUMMARY: str
    FIELDS: tuple[str, ...]
    LOSSLESS: bool

    def matches(self, fields: Fields) -> bool:
        """Tell whether a record looks like this format; cheap, and never raises."""

    def read(self, fields: Fields) -> Reading:
        """Read a record, or raise `TraceError` with the field and what is wrong."""


# In the order of detection: what is told by more, or by rarer, fields comes first.
FORMATS: dict[str, Format] = {
    module.NAME: cast("Format", module)
    for module in (
        trace,
        messages,
        sharegpt,
        prm800k,
        question_steps,
        gsm8k,
        stepwise,
        prompt_completion,
        alpaca,
        problem_solution,
        question_answer,
        sft,
        icot,
        equation,
    )
}

WRITERS: dict[str, Writer] = {
    "trace": trace.write,
    "sft": sft.write,
    "messages": messages.write,
    "prompt_completion": prompt_completion.write,
    "sharegpt": sharegpt.write,
    "question_steps": question_steps.write,
    "gsm8k": gsm8k.write,
    "stepwise": stepwise.write,
    "alpaca": alpaca.write,
    "problem_solution": problem_solution.write,
    "icot": icot.write,
}

_encode = msgspec.json.Encoder().encode


def format_named(name: str) -> Format:
    """Find a format to read.

    Raises:
        InvalidInputError: listing the formats there are.
    """
    if name not in FORMATS:
        raise InvalidInputError(f"There is no format {name!r}.", hint=f"Formats: auto, {', '.join(FORMATS)}.")
    return FORMATS[name]


def detect(records: Iterable[Fields]) -> Format | None:
    """Find the format of some records: the first in order that half of them look like, else the commonest.

    Not simply the commonest: a trace without its steps looks like a question with an answer, and
    must be refused, not read as one.
    """
    sample = list(records)
    best, most = None, 0
    for candidate in FORMATS.values():
        fitting = sum(candidate.matches(record) for record in sample)
        if fitting and fitting * 2 >= len(sample):
            return candidate
        if fitting > most:
            best, most = candidate, fitting
    return best


def writer_for(name: str) -> Writer:
    """Find the writer of a format.

    Raises:
        InvalidInputError: listing the formats there are.
    """
    if name not in WRITERS:
        raise InvalidInputError(f"There is no format {name!r}.", hint=f"Formats: {', '.join(WRITERS)}.")
    return WRITERS[name]


def line_of(value: dict[str, Any] | str) -> bytes:
    """Write one object as a line of UTF-8 JSON; a text as the line that it is."""
    return (value.encode() if isinstance(value, str) else _encode(value)) + b"\n"


def export_lines(*, dataset: Dataset, format: str, split: str | None = None) -> Iterator[bytes]:
    """Write a dataset line by line, in order.

    Raises:
        InvalidInputError: for an unknown format, before the first line.
    """
    write = writer_for(format)
    return (line_of(write(member)) for member in member_traces(dataset=dataset, split=split))
