"""Two datasets side by side: what was added, removed and changed, by prompt."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import batched, zip_longest
from typing import Any

from datasets_app.models import Dataset, DatasetTrace, Trace
from datasets_app.selectors import members_at

NAMED = 50
CHUNK = 5000

type Place = tuple[int, int, str]
"""Position, row of the trace, split."""


@dataclass(slots=True)
class Change:
    """One prompt that is not the same on both sides."""

    prompt: str
    position_a: int | None
    position_b: int | None
    what: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """What happened from ``a`` to ``b``: full counts, and the first of each kind by name."""

    a: Dataset
    b: Dataset
    unchanged: int = 0
    moved: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    examples: dict[str, list[Change]] = field(
        default_factory=lambda: {"added": [], "removed": [], "changed": [], "moved": []}
    )

    def as_json(self) -> dict[str, Any]:
        """Give the comparison as plain data."""
        counts = ("unchanged", "moved", "added", "removed", "changed")
        examples = {name: [asdict(one) for one in some] for name, some in self.examples.items()}
        return {
            "a": self.a.address,
            "b": self.b.address,
            **{name: getattr(self, name) for name in counts},
            "examples": examples,
        }


def compare(*, a: Dataset, b: Dataset) -> Comparison:
    """Match the traces of two datasets by their hash, then what is left by normalised prompt.

    Memory grows with what differs in trace or place, not with the datasets. Only rows are read, and
    texts of the named examples alone.
    """
    found = Comparison(a, b)
    left, right = _other_places(found)
    unmatched = _match_traces(found, left, right)
    removed = sorted(place for places in left.values() for place in places)
    prompts: dict[str, list[Place]] = {}
    for place, prompt in _prompts_of(removed):
        prompts.setdefault(prompt, []).append(place)
    for place, prompt in _prompts_of(unmatched):
        before = prompts.get(prompt)
        _count(found, before.pop(0) if before else None, place)
    for place in sorted(place for places in prompts.values() for place in places):
        _count(found, place, None)
    _describe(found)
    return found


def _rows(dataset: Dataset) -> Iterator[Place]:
    rows = DatasetTrace.objects.filter(dataset=dataset).order_by("position")
    return rows.values_list("position", "trace_id", "split").iterator(chunk_size=CHUNK)


def _other_places(found: Comparison) -> tuple[dict[int, list[Place]], list[Place]]:
    """Walk both sides at once, and give what does not stand at the same place on the other side.

    The first side comes by trace, the second in order.
    """
    left: dict[int, list[Place]] = {}
    right: list[Place] = []
    for before, after in zip_longest(_rows(found.a), _rows(found.b)):
        if before == after:
            found.unchanged += 1
            continue
        if before is not None:
            left.setdefault(before[1], []).append(before)
        if after is not None:
            right.append(after)
    return left, right


def _match_traces(found: Comparison, left: dict[int, list[Place]], right: list[Place]) -> list[Place]:
    """Take the traces that both sides have out of the first, and give those that only the second has.

    Those that are on the same side of the split go first: what is left of a trace has moved.
    """
    elsewhere, unmatched = [], []
    for place in right:
        places = left.get(place[1], [])
        same = next((one for one in places if one[2] == place[2]), None)
        if same is None:
            elsewhere.append(place)
        else:
            places.remove(same)
            found.unchanged += 1
    for place in elsewhere:
        places = left.get(place[1], [])
        if not places:
            unmatched.append(place)
            continue
        before = places.pop(0)
        found.moved += 1
        if found.moved <= NAMED:
            found.examples["moved"].append(Change("", before[0], place[0], ["split"]))
    return unmatched


def _prompts_of(places: Iterable[Place]) -> Iterator[tuple[Place, str]]:
    """Give places with the hash of their normalised prompt, in their order."""
    for some in batched(places, CHUNK):
        wanted = {trace for _, trace, _ in some}
        hashes = dict(Trace.objects.filter(pk__in=wanted).values_list("pk", "prompt_hash"))
        yield from ((place, hashes[place[1]]) for place in some)


def _count(found: Comparison, before: Place | None, after: Place | None) -> None:
    kind = "added" if before is None else "removed" if after is None else "changed"
    setattr(found, kind, getattr(found, kind) + 1)
    examples = found.examples[kind]
    if len(examples) < NAMED:
        examples.append(Change("", before[0] if before else None, after[0] if after else None))


def _describe(found: Comparison) -> None:
    """Read the texts of the examples, and say in what they differ."""
    changes = [change for some in found.examples.values() for change in some]
    read = {}
    for side, dataset in (("a", found.a), ("b", found.b)):
        wanted = [at for change in changes if (at := getattr(change, f"position_{side}")) is not None]
        read[side] = {member.position: member for member in members_at(dataset=dataset, positions=wanted)}
    for change in changes:
        before = read["a"].get(-1 if change.position_a is None else change.position_a)
        after = read["b"].get(-1 if change.position_b is None else change.position_b)
        shown = after or before
        change.prompt = shown.prompt if shown else ""
        if before and after:
            fields = ("prompt", "step_records", "final_answer", "split")
            names = {"step_records": "steps"}
            change.what = [
                names.get(name, name) for name in fields if getattr(before, name) != getattr(after, name)
            ]
