"""What the address of a comparison asks for, and the addresses that lead on from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

MAX_COMPARED = 20
MAX_NAMES = 8
LONGEST_NAME = 80
SECTIONS = ("summary", "dataset", "config", "provenance")
# What came out is told in full, what went in only where it differs.
FULL_AT_FIRST = frozenset({"summary"})
PROMPT_FILTERS = {
    "disagree": "Runs disagree",
    "baseline_right": "Baseline right, another wrong",
    "baseline_wrong": "Baseline wrong, another right",
    "all_wrong": "All wrong",
    "all_right": "All right",
    "lacking": "Not in every run",
    "all": "All",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The choices of a comparison: runs in their order, baseline, metrics, full sections, prompts.

    ``left_out`` are the runs beyond the most that fit; ``notes`` say what could not be meant.
    """

    ids: tuple[int, ...] = ()
    baseline: int | None = None
    metrics: tuple[str, ...] = ()
    full: frozenset[str] = FULL_AT_FIRST
    prompts: str = "disagree"
    page: int = 1
    search: str = ""
    left_out: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Asked":
        """Read an address; what cannot be meant is left out and named."""
        notes: list[str] = []
        text = f"{query.get('ids', '')},{query.get('with', '')}"
        add = query.get("add", "").replace("\x00", "").strip()
        names_runs = bool(add) and all(_number(word) for word in _words(add))
        numbers = _numbers(f"{text},{add}" if names_runs else text, notes)
        metrics = [name.strip() for name in query.get("metric", "").split(",") if name.strip()]
        prompts = query.get("prompts", "") or "disagree"
        if prompts not in PROMPT_FILTERS:
            notes.append(f"There is no filter of prompts “{prompts[:40]}”.")
            prompts = "disagree"
        chosen = query.get("full")
        return cls(
            ids=tuple(numbers[:MAX_COMPARED]),
            baseline=_number(query.get("baseline", "")),
            metrics=tuple(dict.fromkeys(name[:LONGEST_NAME] for name in metrics[:MAX_NAMES])),
            full=FULL_AT_FIRST if chosen is None else frozenset(chosen.split(",")) & frozenset(SECTIONS),
            prompts=prompts,
            page=_number(query.get("page", "")) or 1,
            search="" if names_runs else add[:LONGEST_NAME],
            left_out=tuple(numbers[MAX_COMPARED:]),
            notes=notes,
        )

    def link(self, **changes: object) -> str:
        """Give the query string of this comparison with some choices changed."""
        new = replace(self, **changes)  # type: ignore[arg-type]
        named = {
            "ids": ",".join(map(str, new.ids)),
            "baseline": new.baseline if new.baseline in new.ids and new.baseline != new.ids[0] else None,
            "metric": ",".join(new.metrics),
            "full": None if new.full == FULL_AT_FIRST else ",".join(sorted(new.full)) or "none",
            "prompts": new.prompts if new.prompts != "disagree" else None,
            "page": new.page if new.page > 1 else None,
        }
        return "?" + urlencode({name: value for name, value in named.items() if value}, safe=",/")

    def toggled(self, section: str) -> str:
        """Give the address that shows all of a section, or only what differs in it."""
        return self.link(full=self.full ^ {section})


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 and int(text) else None


def _numbers(text: str, notes: list[str]) -> list[int]:
    numbers = []
    for word in _words(text):
        number = _number(word)
        if number is None:
            if len(notes) < 5:
                notes.append(f"“{word[:40]}” is no number of a run.")
        else:
            numbers.append(number)
    return list(dict.fromkeys(numbers))
