"""What a reasoning trace is: its shape, its rules, its identity.

A trace is a prompt, steps in order, and a final answer. Its identity is the SHA-256 of the
canonical JSON of these three; where it came from (source, licence, ``meta``) is no part of it.
"""

import hashlib
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tunix_site.errors import InvalidInputError

TRACE_VERSION = "1.0"
DEFAULT_STEP_TYPE = "step"

MAX_TEXT = 200_000
MAX_STEPS = 10_000
MAX_STEP_INDEX = 2**31 - 1
MAX_STEP_TYPE = 64
MAX_META_BYTES = 64_000
MAX_META_DEPTH = 20

TRAIN, TEST = "train", "test"
SPLITS = (TRAIN, TEST)
SPLIT_RULE = "test where SHA-256(NFKC, casefolded, white space collapsed prompt)[:8] mod 10 is 0"


class TraceError(InvalidInputError):
    """A trace breaks a rule; ``field`` says where, for example ``steps[2].content``."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One step of a trace: index, kind and text. The fields stand sorted, as in the canonical JSON."""

    content: str
    i: int
    type: str = DEFAULT_STEP_TYPE


class TraceRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trace as plain data, outside any database."""

    prompt: str
    steps: tuple[Step, ...]
    final_answer: str
    meta: dict[str, Any] = {}
    trace_version: str = TRACE_VERSION


class _Identity(msgspec.Struct, frozen=True):
    """What the hash of a trace covers, its fields sorted by name."""

    final_answer: str
    prompt: str
    steps: Sequence[Step]


_encode = msgspec.json.Encoder().encode


def make_trace(
    *,
    prompt: str,
    steps: Iterable[str],
    final_answer: str,
    step_type: str = DEFAULT_STEP_TYPE,
    meta: dict[str, Any] | None = None,
) -> TraceRecord:
    """Build a trace from step texts; indices count from 0."""
    numbered = tuple(Step(i=index, content=text, type=step_type) for index, text in enumerate(steps))
    return TraceRecord(prompt=prompt, steps=numbered, final_answer=final_answer, meta=meta or {})


def canonical_json(prompt: str, steps: Sequence[Step], final_answer: str) -> bytes:
    """Write the identity of a trace: UTF-8 JSON, keys sorted, no white space, nothing escaped needlessly."""
    return _encode(_Identity(final_answer, prompt, steps))


def trace_hash(prompt: str, steps: Sequence[Step], final_answer: str) -> str:
    """Give the SHA-256 (64 hex digits) of the canonical JSON."""
    return hashlib.sha256(canonical_json(prompt, steps, final_answer)).hexdigest()


def normalise_prompt(prompt: str) -> str:
    """Bring prompts that differ only in form together: NFKC, casefold, single spaces.

    NFKC runs again after the folding, for folding can undo it (Unicode, section 3.13).
    """
    if prompt.isascii():
        return " ".join(prompt.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", prompt).casefold())
    return " ".join(folded.split())


def prompt_hash(prompt: str) -> str:
    """Give the SHA-256 (64 hex digits) of the normalised prompt."""
    return hashlib.sha256(normalise_prompt(prompt).encode()).hexdigest()


def split_of(hashed_prompt: str) -> str:
    """Choose the side of a prompt by its hash alone: one in ten is for testing."""
    return TEST if int(hashed_prompt[:16], 16) % 10 == 0 else TRAIN


class ContentHasher:
    """The content hash of a dataset, fed trace by trace.

    SHA-256 over a header and one line ``<split> <trace hash>`` a trace, so it covers order,
    traces and splits.
    """

    def __init__(self) -> None:
        self._sha = hashlib.sha256(b"tunix-dataset 1\n")

    def add(self, *, split: str, content_hash: str) -> None:
        """Take in the next trace."""
        self._sha.update(f"{split} {content_hash}\n".encode())

    def hexdigest(self) -> str:
        """Give the hash of what was added so far."""
        return self._sha.hexdigest()


def validate_trace(record: TraceRecord) -> None:
    """Check every rule of a trace.

    Raises:
        TraceError: naming the field and what is wrong with it.
    """
    if record.trace_version != TRACE_VERSION:
        raise TraceError(
            "trace_version", f"{record.trace_version!r} is not known; this site reads {TRACE_VERSION!r}."
        )
    _check_text("prompt", record.prompt)
    if len(record.steps) > MAX_STEPS:
        raise TraceError("steps", f"{len(record.steps)} steps; at most {MAX_STEPS} are allowed.")
    previous = -1
    for place, step in enumerate(record.steps):
        if not (previous < step.i <= MAX_STEP_INDEX):
            _check_index(f"steps[{place}].i", step.i, previous)
        if not _is_plain(step.content):
            _check_text(f"steps[{place}].content", step.content)
        if step.type != DEFAULT_STEP_TYPE:
            _check_text(f"steps[{place}].type", step.type, longest=MAX_STEP_TYPE)
        previous = step.i
    _check_text("final_answer", record.final_answer)
    check_meta("meta", record.meta)


def _check_index(field: str, index: int, previous: int) -> None:
    if not 0 <= index <= MAX_STEP_INDEX:
        raise TraceError(field, f"{index} is not an index from 0 to {MAX_STEP_INDEX}.")
    if index == previous:
        raise TraceError(field, f"the index {index} is there twice.")
    if index < previous:
        raise TraceError(field, f"{index} comes after {previous}; indices must rise.")


def _is_plain(text: str) -> bool:
    """Tell cheaply that a text surely keeps the rules; most do."""
    return (
        text.isascii() and len(text) <= MAX_TEXT and "\x00" not in text and not text.isspace() and text != ""
    )


def _check_text(field: str, text: str, *, longest: int = MAX_TEXT) -> None:
    if not text.strip():
        raise TraceError(field, "is empty.")
    if len(text) > longest:
        raise TraceError(field, f"has {len(text)} characters; at most {longest} are allowed.")
    check_characters(field, text)


def check_characters(field: str, text: str) -> None:
    """Refuse what no database and no UTF-8 file can hold: NUL and lone surrogates."""
    if "\x00" in text:
        raise TraceError(field, f"has a NUL character at position {text.index(chr(0))}.")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TraceError(field, f"has a lone surrogate at position {error.start}.") from None


def check_meta(field: str, meta: dict[str, Any]) -> None:
    """Check that ``meta`` can be stored as JSON everywhere and is not too large."""
    if not meta:
        return
    _check_json(field, meta, depth=0)
    size = len(json.dumps(meta, ensure_ascii=False).encode())
    if size > MAX_META_BYTES:
        raise TraceError(field, f"takes {size} bytes; at most {MAX_META_BYTES} are allowed.")


def _check_json(field: str, value: Any, *, depth: int) -> None:
    if depth > MAX_META_DEPTH:
        raise TraceError(field, f"is nested deeper than {MAX_META_DEPTH} levels.")
    if isinstance(value, str):
        check_characters(field, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise TraceError(field, f"{value} is not a JSON number.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_characters(f"{field} key", key)
            _check_json(f"{field}.{key}", inner, depth=depth + 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check_json(f"{field}[{place}]", inner, depth=depth + 1)
