"""What counting all traces of a dataset gives: made once, for its content never changes."""

from collections import Counter
from typing import Any

from datasets_app.models import Dataset, DatasetFacts
from datasets_app.quality.lengths import TOKENIZER_NAME, LengthCounter, lengths_of
from datasets_app.selectors import MemberTrace, member_traces
from training.tokenizer import TOKENIZER


class FactsCollector:
    """Counts while somebody else reads the traces for another reason."""

    def __init__(self) -> None:
        self._families: Counter[str] = Counter()
        self._provenance: Counter[tuple[str, str]] = Counter()
        self._lengths = LengthCounter()

    def add(self, member: MemberTrace) -> None:
        """Take in one trace."""
        self._families[member.family] += 1
        self._provenance[member.source, member.licence] += 1
        self._lengths.add(lengths_of(member.prompt, member.steps, member.final_answer))

    def save(self, dataset: Dataset) -> DatasetFacts:
        """Keep the counts of a dataset whose traces were all taken in."""
        provenance = [
            {"source": source, "licence": licence, "traces": count}
            for (source, licence), count in sorted(self._provenance.items())
        ]
        tokens: dict[str, Any] = {"tokenizer": TOKENIZER_NAME, "tokenizer_hash": TOKENIZER.hash}
        facts, _ = DatasetFacts.objects.update_or_create(
            dataset=dataset,
            defaults={
                "families": dict(sorted(self._families.items())),
                "provenance": provenance,
                "tokens": tokens | self._lengths.summary(),
            },
        )
        return facts


def facts_of(*, dataset: Dataset) -> DatasetFacts:
    """Give the facts of a dataset, counted now where nobody has yet."""
    known = DatasetFacts.objects.filter(dataset=dataset).first()
    if known is not None:
        return known
    collector = FactsCollector()
    for member in member_traces(dataset=dataset):
        collector.add(member)
    return collector.save(dataset)
