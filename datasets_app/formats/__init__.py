"""The shapes in which traces leave (one module a shape)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from datasets_app.formats import messages, prompt_completion, sft, trace
from datasets_app.models import Dataset
from datasets_app.selectors import MemberTrace, member_traces
from tunix_site.errors import InvalidInputError

__all__ = ["WRITERS", "export_lines", "line_of", "writer_for"]

type Writer = Callable[[MemberTrace], dict[str, Any]]

WRITERS: dict[str, Writer] = {
    "trace": trace.write,
    "sft": sft.write,
    "messages": messages.write,
    "prompt_completion": prompt_completion.write,
}


def writer_for(name: str) -> Writer:
    """Find the writer of a format.

    Raises:
        InvalidInputError: listing the formats there are.
    """
    if name not in WRITERS:
        raise InvalidInputError(f"There is no format {name!r}.", hint=f"Formats: {', '.join(WRITERS)}.")
    return WRITERS[name]


def line_of(value: dict[str, Any]) -> bytes:
    """Write one object as a line of UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def export_lines(*, dataset: Dataset, format: str, split: str | None = None) -> Iterator[bytes]:
    """Write a dataset line by line, in order.

    Raises:
        InvalidInputError: for an unknown format, before the first line.
    """
    write = writer_for(format)
    return (line_of(write(member)) for member in member_traces(dataset=dataset, split=split))
