"""The overlap of an evaluation as pages, API and gates read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

# What `Evaluation.overlap` holds under "mark", and what the leaderboard counts by.
Mark = Literal["clean", "prompts", "ngrams", "unknown", "unchecked"]
LABELS: Final[dict[str, str]] = {
    "clean": "no overlap",
    "prompts": "prompts in training data",
    "ngrams": "shares text with training data",
    "unknown": "training data not known",
    "unchecked": "overlap not checked",
}
MARKED: Final = frozenset({"prompts", "ngrams"})


@dataclass(frozen=True, slots=True)
class OverlapFacts:
    """How many of ``n`` prompts stand in the training data, by kind; the strongest kind of each counts."""

    mark: Mark
    n: int = 0
    trace: int = 0
    prompt: int = 0
    ngram: int = 0
    common: int = 0
    short: int = 0
    why: str = ""
    contents: tuple[str, ...] = ()

    @property
    def any(self) -> int:
        """Prompts that overlap in any way."""
        return self.trace + self.prompt + self.ngram

    @property
    def label(self) -> str:
        """The mark in words."""
        return LABELS[self.mark]

    @property
    def marked(self) -> bool:
        """Whether something was found."""
        return self.mark in MARKED

    @property
    def words(self) -> str:
        """Say what was found, in one sentence."""
        if self.mark == "unchecked":
            return "Not checked against the training data yet."
        if self.mark == "unknown":
            return f"The training data are not wholly known: {self.why}."
        parts = [
            f"{count} {what}"
            for count, what in (
                (self.trace, "as the same trace"),
                (self.prompt, "as the same prompt"),
                (self.ngram, "by a run of 13 words"),
            )
            if count
        ]
        if not parts:
            return f"None of {self.n} prompts stands in the training data."
        return f"Of {self.n} prompts {self.any} stand in the training data: {', '.join(parts)}."


UNCHECKED: Final = OverlapFacts("unchecked")


def overlap_facts(stored: Mapping[str, Any] | None) -> OverlapFacts:
    """Read what an evaluation holds; what is not there or still looked for counts as not checked."""
    if not stored or stored.get("mark") not in LABELS or stored["mark"] == "unchecked":
        return UNCHECKED
    counts = {name: int(stored.get(name, 0)) for name in ("n", "trace", "prompt", "ngram", "common", "short")}
    contents = tuple(str(one.get("address", "")) for one in stored.get("contents", ()))
    return OverlapFacts(mark=stored["mark"], why=str(stored.get("why", "")), contents=contents, **counts)
