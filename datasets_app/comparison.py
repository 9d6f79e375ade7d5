"""Two datasets side by side: what was added, removed and changed, by prompt."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from datasets_app.models import Dataset, DatasetTrace
from datasets_app.selectors import members_at

NAMED = 50
CHUNK = 5000

type Place = tuple[int, str, str]
"""Position, trace hash, split."""


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

    Only hashes are read, and texts of the named examples alone.
    """
    found = Comparison(a, b)
    left = _places(a)
    pairs: list[tuple[Place | None, Place | None]] = []
    unmatched: list[tuple[str, Place]] = []
    for prompt, place in _rows(b):
        same = next((one for one in left.get(prompt, ()) if one[1] == place[1]), None)
        if same is None:
            unmatched.append((prompt, place))
            continue
        left[prompt].remove(same)
        if same[2] == place[2]:
            found.unchanged += 1
        else:
            found.moved += 1
            if found.moved <= NAMED:
                found.examples["moved"].append(Change("", same[0], place[0], ["split"]))
    for prompt, place in unmatched:
        before = left.get(prompt)
        pairs.append((before.pop(0) if before else None, place))
    pairs += [(place, None) for places in left.values() for place in places]
    for before_place, after in pairs:
        _count(found, before_place, after)
    _describe(found)
    return found


def _rows(dataset: Dataset) -> Iterator[tuple[str, Place]]:
    rows = DatasetTrace.objects.filter(dataset=dataset).order_by("position")
    columns = rows.values_list("trace__prompt_hash", "position", "trace__content_hash", "split")
    for prompt, position, content_hash, split in columns.iterator(chunk_size=CHUNK):
        yield prompt, (position, content_hash, split)


def _places(dataset: Dataset) -> dict[str, list[Place]]:
    places: dict[str, list[Place]] = {}
    for prompt, place in _rows(dataset):
        places.setdefault(prompt, []).append(place)
    return places


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
