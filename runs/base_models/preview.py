"""Which tokens of a trace a base model is trained on: the page, and what it shows. Needs no JAX."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args
from unicodedata import category

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from datasets_app.models import Dataset
from datasets_app.selectors import list_datasets, members_at, resolve_dataset
from runs.base_models import bounded
from training import bases
from training.errors import ConfigError
from training.examples import TraceExample
from training.rendering import Target
from tunix_site.auth import scope_required
from tunix_site.errors import TooManyError, UserError

SHOWN_TOKENS: Final = 3000
SHOWN_ANSWER: Final = 1000
LISTED_DATASETS: Final = 100
REASONING: Final = {
    "plain": "plain: lines, then #",
    "think": "think: <think> … </think>",
    "reasoning_content": "reasoning_content",
}
TARGETS: Final = {"trace": "trace: steps and answer", "answer": "answer alone"}
MAX_SYSTEM_PROMPT: Final = 8000
_MARKS: Final = {"\n": ("↵", "line break"), "\t": ("→", "tab")}

Kind = Literal["prompt", "learnt", "end"]
_WORDS: Final[dict[Kind, str]] = {
    "prompt": "prompt, not trained on",
    "learnt": "trained on",
    "end": "end of the text, trained on",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a token's text: letters to show as they are, or a mark for what has no look of its own."""

    text: str
    mark: str = ""
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """One token on the page."""

    number: int
    position: int
    kind: Kind
    special: bool
    parts: list[Part]

    @property
    def word(self) -> str:
        """Say whether it is trained on."""
        return _WORDS[self.kind]


@dataclass(frozen=True, slots=True)
class Shown:
    """A trace as a model sees it; ``steps`` and ``answer`` as read back, ``unread`` why not."""

    tokens: list[Token]
    total: int
    prompt: int
    hidden: int
    steps: int
    answer: str | None
    unread: str
    pad: int
    ends: tuple[int, ...]
    hash: str

    @property
    def learnt(self) -> int:
        """How many tokens are trained on."""
        return self.total - self.prompt


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; whatever it says wrongly is left at its default."""

    dataset: str
    trace: int
    reasoning: str
    target: Target
    system_prompt: str

    @classmethod
    def read(cls, query: dict[str, str]) -> "Asked":
        """Read the address of the page."""
        trace = query.get("trace", "")
        fits = trace.isascii() and trace.isdecimal() and len(trace) <= 9
        reasoning, target = query.get("reasoning", ""), query.get("target", "")
        return cls(
            dataset=query.get("dataset", "").strip()[:200],
            trace=int(trace) if fits else 0,
            reasoning=reasoning if reasoning in REASONING else "plain",
            target=target if target in get_args(Target) else "trace",  # type: ignore[arg-type]
            system_prompt=query.get("system_prompt", "").replace("\r\n", "\n")[:MAX_SYSTEM_PROMPT],
        )


def show(base: bases.Base, example: TraceExample, asked: Asked) -> Shown:
    """Write a trace as a base model is given it, token by token.

    Raises:
        ConfigError: for a tokenizer or a chat template that cannot be used so, or a missing extra.
        TooManyError: when too many traces are being written so.
    """
    found = bounded.shown(
        base,
        reasoning=asked.reasoning,
        system_prompt=asked.system_prompt,
        show={
            "prompt": example.prompt,
            "steps": list(example.steps),
            "answer": example.final_answer,
            "target": asked.target,
            "most": SHOWN_TOKENS,
            "longest": SHOWN_ANSWER,
        },
    )
    prompt, total = found["prompt"], found["total"]
    tokens = [
        Token(
            number,
            position,
            "prompt" if position < prompt else "end" if position == total - 1 else "learnt",
            special,
            visible(piece),
        )
        for position, (number, special, piece) in enumerate(
            zip(found["ids"], found["special"], found["pieces"], strict=True)
        )
    ]
    return Shown(
        tokens=tokens,
        total=total,
        prompt=prompt,
        hidden=total - len(tokens),
        steps=found["steps"],
        answer=found["answer"],
        unread=found["problem"],
        pad=found["pad"],
        ends=tuple(found["ends"]),
        hash=found["hash"],
    )


def visible(text: str) -> list[Part]:
    """Split a text where a character has no look of its own: such get a mark and a name."""
    parts: list[Part] = []
    plain = ""
    for character in text:
        mark = _mark(character)
        if mark is None:
            plain += character
            continue
        if plain:
            parts.append(Part(plain))
            plain = ""
        parts.append(Part(mark[0], mark[1], breaks=character == "\n"))
    return [*parts, Part(plain)] if plain or not parts else parts


def _mark(character: str) -> tuple[str, str] | None:
    if character in _MARKS:
        return _MARKS[character]
    if character == "\N{REPLACEMENT CHARACTER}":
        return "…", "part of a character"
    # Controls, marks of direction, private use, line and paragraph separators, spaces of other widths.
    if character != " " and category(character) in {"Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"}:
        return f"U+{ord(character):04X}", f"character U+{ord(character):04X}"
    return None


@require_safe
@scope_required("read")
def preview(request: HttpRequest, address: str) -> HttpResponse:
    """Show a trace of a dataset as a base model is trained on it."""
    try:
        base = bases.find_base(bases.pinned(address))
    except ConfigError as error:
        raise Http404(str(error)) from error
    datasets = list(list_datasets()[:LISTED_DATASETS])
    asked = Asked.read(request.GET.dict())
    context: dict[str, Any] = {
        "base": base,
        "address": address,
        "asked": asked,
        "datasets": datasets,
        "dataset": None,
        "position": None,
        "reasonings": REASONING,
        "targets": TARGETS,
        "max_system_prompt": MAX_SYSTEM_PROMPT,
    }
    status = 200
    try:
        dataset = resolve_dataset(address=asked.dataset) if asked.dataset else next(iter(datasets), None)
        if dataset is not None:
            context |= _of_trace(base, dataset, asked)
    except (UserError, ConfigError) as error:
        context["problem"] = str(error)
        status = 429 if isinstance(error, TooManyError) else 200
    return render(request, "runs/base_models/preview.html", context, status=status)


def _of_trace(base: bases.Base, dataset: Dataset, asked: Asked) -> dict[str, Any]:
    last = dataset.trace_count - 1
    position = max(0, min(asked.trace, last))
    found = next(iter(members_at(dataset=dataset, positions=[position])), None)
    if found is None:
        return {"dataset": dataset}
    example = TraceExample(found.content_hash, found.prompt, found.steps, found.final_answer)
    return {
        "dataset": dataset,
        "position": position,
        "last": last,
        "previous": position - 1 if position else None,
        "next": position + 1 if position < last else None,
        "shown": show(base, example, asked),
        "steps": found.steps,
    }
