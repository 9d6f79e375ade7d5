"""One pass over training traces that finds which of some prompts stand in them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from datasets_app.models import Dataset, DatasetTrace
from datasets_app.traces import prompt_hash
from runs.overlap.words import GRAM_WORDS, grams_of, whole_text, words_of

CHUNK: Final = 2000
# Runs of words that the prompts may have together: beyond it the rest is left unlooked at, and said so.
MOST_GRAMS: Final = 2_000_000
# A run of words that more training traces hold is a turn of phrase, no sign of a leak (arXiv 2005.14165).
COMMON_ABOVE: Final = 10

TRACE, PROMPT, NGRAM = "trace", "prompt", "ngram"


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt of an evaluation with the text that was expected after it."""

    position: int
    trace_hash: str
    prompt: str
    expected_steps: Sequence[str]
    expected_answer: str


@dataclass(slots=True)
class Found:
    """Positions of prompts by how they stand in the training traces.

    ``exact``: those of ``prompt`` that are the same character by character; ``common``: those that share
    only runs of words that many traces hold; ``short``: texts of fewer than 13 words, which have no run
    and are looked for by their prompt alone. ``complete`` is false where a bound left runs out.
    """

    trace: set[int] = field(default_factory=set)
    prompt: set[int] = field(default_factory=set)
    exact: set[int] = field(default_factory=set)
    ngram: set[int] = field(default_factory=set)
    common: set[int] = field(default_factory=set)
    short: set[int] = field(default_factory=set)
    traces_read: int = 0
    complete: bool = True

    def kinds(self) -> dict[int, str]:
        """Give each prompt that stands in the training traces the strongest kind."""
        kinds = dict.fromkeys(self.ngram, NGRAM)
        kinds |= dict.fromkeys(self.prompt, PROMPT)
        return kinds | dict.fromkeys(self.trace, TRACE)


class Search:
    """What is looked for: memory grows with the prompts, never with the training traces."""

    def __init__(self, prompts: Iterable[Asked], *, most_grams: int = MOST_GRAMS) -> None:
        self.found = Found()
        self._by_hash: dict[str, list[int]] = {}
        self._by_prompt: dict[str, list[tuple[int, str]]] = {}
        self._grams: dict[int, list[int]] = {}
        for one in prompts:
            self._by_hash.setdefault(one.trace_hash, []).append(one.position)
            self._by_prompt.setdefault(prompt_hash(one.prompt), []).append((one.position, one.prompt))
            words = words_of(whole_text(one.prompt, one.expected_steps, one.expected_answer))
            if len(words) < GRAM_WORDS:
                self.found.short.add(one.position)
            elif len(self._grams) >= most_grams:
                self.found.complete = False
            else:
                for gram in set(grams_of(words)):
                    self._grams.setdefault(gram, []).append(one.position)
        self._wanted = frozenset(self._grams)
        self._traces_with: Counter[int] = Counter()

    def read(self, dataset: Dataset) -> None:
        """Look through the training split of a dataset, few traces at a time."""
        columns = ["trace__content_hash", "trace__prompt_hash", "trace__prompt"]
        if self._wanted:
            columns += ["trace__steps", "trace__final_answer"]
        rows = DatasetTrace.objects.filter(dataset=dataset, split="train").order_by("position")
        for row in rows.values_list(*columns).iterator(chunk_size=CHUNK):
            self._look_at(row)

    def _look_at(self, row: tuple[Any, ...]) -> None:
        content_hash, hashed_prompt, prompt = row[:3]
        self.found.traces_read += 1
        if content_hash in self._by_hash:
            self.found.trace.update(self._by_hash[content_hash])
        for position, text in self._by_prompt.get(hashed_prompt, ()):
            self.found.prompt.add(position)
            if text == prompt:
                self.found.exact.add(position)
        if self._wanted:
            text = whole_text(prompt, (step["content"] for step in row[3]), row[4])
            self._traces_with.update(self._wanted.intersection(grams_of(words_of(text))))

    def end(self) -> Found:
        """Judge the runs of words by how many traces hold them, and give all that was found."""
        for gram, traces in self._traces_with.items():
            (self.found.ngram if traces <= COMMON_ABOVE else self.found.common).update(self._grams[gram])
        self.found.common -= self.found.ngram
        return self.found
