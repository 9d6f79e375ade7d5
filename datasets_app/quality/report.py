"""The quality report of one dataset as plain data, made in few passes with flat memory."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from datasets_app.models import Dataset
from datasets_app.quality.answers import answer_type, other_characters
from datasets_app.quality.duplicates import BANDS, ROWS, THRESHOLD, DuplicateFinder, Duplicates, clusters
from datasets_app.quality.findings import NAMED, Findings
from datasets_app.quality.lengths import (
    PARTS,
    TABLE_LENGTHS,
    TOKENIZER_NAME,
    LengthCounter,
    histogram,
    lengths_of,
)
from datasets_app.quality.overlap import GramIndex, Overlap, note
from datasets_app.quality.prompts import PromptAnswers
from datasets_app.quality.repeated import MaybeSeen
from datasets_app.quality.step_counts import StepCounts
from datasets_app.quality.text import GRAM, SHINGLE, runs_of, whole_text, words_of
from datasets_app.selectors import MemberTrace, member_traces, members_at, split_overlap
from training.tokenizer import TOKENIZER

REPORT_VERSION = 2
TOLD_EVERY = 500
CHARACTERS_NAMED = 30
GRAMS_A_TRACE = 64

type Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is to look at. ``other``: a dataset that must not overlap with this one."""

    dataset: Dataset
    sequence_length: int = 512
    other: Dataset | None = None


def make_report(request: ReportRequest, tell: Tell = lambda _done, _total: None) -> dict[str, Any]:
    """Read the dataset and say what is good and bad about it.

    ``tell`` is called with (traces read, traces to read) every few hundred traces; what it raises
    ends the work.
    """
    return _Reporter(request, tell).report()


class _Reporter:
    def __init__(self, request: ReportRequest, tell: Tell) -> None:
        self.dataset, self.other = request.dataset, request.other
        self.length = request.sequence_length
        self._tell, self._done = tell, 0
        self._total = self.dataset.trace_count + 2 * self.dataset.test_count
        if self.other:
            self._total += self.dataset.trace_count + self.other.trace_count
        self.findings = Findings()
        self.duplicates, self.lengths, self.steps = DuplicateFinder(), LengthCounter(), StepCounts()
        self.types: Counter[str] = Counter()
        self.characters: Counter[str] = Counter()
        self.not_ascii = 0
        self.prompts = PromptAnswers()
        self.in_other, self.in_train = Overlap(), Overlap()

    def report(self) -> dict[str, Any]:
        in_test = self._grams_of(self.dataset.test_count, "test")
        other = self._index_other()
        train = GramIndex()
        for member in self._read(self.dataset):
            words = words_of(whole_text(member))
            self.duplicates.add(member.position, words)
            self._look_at(member)
            if self.dataset.test_count or other:
                grams = runs_of(words, GRAM)
                if member.split == "train":
                    train.add(member.position, in_test.keep(grams))
                if other is not None:
                    note(self.in_other, member.position, other.find(grams))
        for member in self._read(self.dataset, "test"):
            found_at = train.find(runs_of(words_of(whole_text(member)), GRAM))
            note(self.in_train, member.position, found_at)
        self.in_train.complete = train.complete
        self._note_prompts()
        self.in_other.complete = other is None or other.complete
        found = self.duplicates.find(self._texts, lambda: self._tell(self._done, self._total))
        self._note_duplicates(found)
        return self._content(found)

    def _read(self, dataset: Dataset, split: str | None = None) -> Iterator[MemberTrace]:
        for member in member_traces(dataset=dataset, split=split):
            if self._done % TOLD_EVERY == 0:
                self._tell(self._done, self._total)
            self._done += 1
            yield member

    def _grams_of(self, traces: int, split: str | None = None) -> MaybeSeen:
        """Note the runs of a side, so that of the other side only what may be common is kept."""
        seen = MaybeSeen(expected=GRAMS_A_TRACE * traces)
        for member in self._read(self.dataset, split) if traces else ():
            seen.add(runs_of(words_of(whole_text(member)), GRAM))
        return seen

    def _index_other(self) -> GramIndex | None:
        if self.other is None:
            return None
        ours, index = self._grams_of(self.dataset.trace_count), GramIndex()
        for member in self._read(self.other):
            index.add(member.position, ours.keep(runs_of(words_of(whole_text(member)), GRAM)))
        return index

    def _look_at(self, member: MemberTrace) -> None:
        at = member.position
        lengths = lengths_of(member.prompt, member.steps, member.final_answer)
        self.lengths.add(lengths)
        if lengths.has_no_target(self.length):
            self.findings.add("no_target", [at], f"the prompt alone takes {lengths.prompt} tokens")
        elif lengths.cuts_answer(self.length):
            self.findings.add("answer_cut", [at], f"{lengths.total} tokens")
        self.steps.add(member, self.findings)
        self.types[answer_type(member.final_answer)] += 1
        strange = other_characters(whole_text(member))
        self.not_ascii += bool(strange)
        self.characters.update(strange)
        self.prompts.add(at, member.prompt, member.final_answer)

    def _note_prompts(self) -> None:
        pairs = self.prompts.differing()
        wanted = {position for pair in pairs[:NAMED] for position in pair}
        read = members_at(dataset=self.dataset, positions=sorted(wanted))
        answers = {member.position: member.final_answer.strip()[:60] for member in read}
        for first, at in pairs[:NAMED]:
            note_text = f"answers {answers[first]!r} and {answers[at]!r}"
            self.findings.add("prompt_with_two_answers", [first, at], note_text)
        self.findings.count("prompt_with_two_answers", len(pairs))

    def _texts(self, positions: Sequence[int]) -> dict[int, str]:
        return {
            member.position: whole_text(member)
            for member in members_at(dataset=self.dataset, positions=positions)
        }

    def _note_duplicates(self, found: Duplicates) -> None:
        for group in found.exact:
            self.findings.add("exact_duplicate", group, f"{len(group)} times", weight=len(group) - 1)
        for pair in sorted(found.near, key=lambda pair: -pair.similarity):
            self.findings.add(
                "near_duplicate", [pair.first, pair.second], f"similarity {pair.similarity:.2f}"
            )
        for position, other in self.in_train.pairs:
            self.findings.add("test_in_train", [position, other], "")
        self.findings.count("test_in_train", self.in_train.traces)
        for position, other in self.in_other.pairs:
            self.findings.add("in_other_dataset", [position], "", other=other)
        self.findings.count("in_other_dataset", self.in_other.traces)

    def _content(self, found: Duplicates) -> dict[str, Any]:
        dataset, other = self.dataset, self.other
        groups = clusters(found.near)
        return {
            "report_version": REPORT_VERSION,
            "dataset": dataset.address,
            "content_hash": dataset.content_hash,
            "trace_count": dataset.trace_count,
            "compared_with": other.address if other else None,
            "tokenizer": {"name": TOKENIZER_NAME, "hash": TOKENIZER.hash},
            "sequence_length": self.length,
            "duplicates": {
                "exact": {
                    "groups": len(found.exact),
                    "surplus": sum(len(group) - 1 for group in found.exact),
                },
                "near": {
                    "shingle_words": SHINGLE,
                    "threshold": THRESHOLD,
                    "signature": f"{BANDS} bands of {ROWS}",
                    "pairs": len(found.near),
                    "groups": len(groups),
                    "traces": sum(map(len, groups)),
                    "candidates_verified": found.compared,
                    "complete": found.complete,
                },
            },
            "overlap": {
                "gram_words": GRAM,
                "test_traces_in_train": self.in_train.traces,
                "same_prompt_on_both_sides": split_overlap(dataset=dataset),
                "traces_in_other": self.in_other.traces if other else None,
                "complete": self.in_train.complete and self.in_other.complete,
            },
            "tokens": self.lengths.summary(),
            "histograms": {part: histogram(self.lengths.counts[part]) for part in PARTS},
            "at_sequence_length": self.lengths.losses(self.length)
            | {"answers_cut": self.lengths.losses(self.length)["rows_too_long"]},
            "sequence_lengths": self.lengths.table(sorted({*TABLE_LENGTHS, self.length})),
            "steps": self.steps.summary(),
            "answers": dict(self.types.most_common()),
            "non_ascii": {
                "traces": self.not_ascii,
                "characters": [
                    {"character": character, "code": f"U+{ord(character):04X}", "count": count}
                    for character, count in islice(self.characters.most_common(), CHARACTERS_NAMED)
                ],
            },
            "findings": self.findings.as_json(),
        }
