"""Boards: evaluations of one dataset content, split, grader with its version, and decoding."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count, F, Max, QuerySet, TextField
from django.db.models.functions import Cast

from datasets_app.models import Dataset
from runs.models import Evaluation

UNRECORDED: Final = "graded before graders were recorded"
# What does not keep two from being compared: another seed draws other texts of the same kind, and the room
# for a text follows the longest expected one, which is shorter where only answers are written.
NOT_COMPARED: Final = frozenset({"seed", "max_new_tokens"})
DRAWN_BY: Final = (
    ("temperature", "temperature"),
    ("top_k", "top-k"),
    ("top_p", "top-p"),
)
CODE_LENGTH: Final = 10


@dataclass(slots=True)
class Board:
    """A board and how much stands on it; ``raw`` are the stored forms of its decoding."""

    dataset: Dataset
    split: str
    grader: str
    grader_version: int
    draws: int
    decoding: dict[str, Any]
    raw: set[str] = field(default_factory=set)
    evaluations: int = 0
    runs: int = 0
    newest: int = 0

    @property
    def code(self) -> str:
        """Name the board in an address: the beginning of a hash of what it holds apart."""
        parts = [
            self.dataset.content_hash,
            self.split,
            self.grader,
            self.grader_version,
            self.draws,
            self.decoding,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:CODE_LENGTH]

    @property
    def graded_by(self) -> str:
        """Name the grader and its version."""
        return f"{self.grader} {self.grader_version}" if self.grader else UNRECORDED

    @property
    def decoded_by(self) -> str:
        """Say how the texts were drawn."""
        return decoding_words(self.decoding, self.draws)

    @property
    def title(self) -> str:
        """Name the board for people."""
        return f"{self.split}, {self.graded_by}, {self.decoded_by}"


def decoding_words(decoding: Mapping[str, Any], draws: int) -> str:
    """Say in words how texts were drawn."""
    texts = f", {draws} texts a prompt" if draws > 1 else ""
    if not decoding:
        return f"decoding not recorded{texts}"
    if not decoding.get("temperature"):
        return f"likeliest token{texts}"
    known = [f"{label} {decoding[name]}" for name, label in DRAWN_BY if decoding.get(name)]
    return ", ".join(known) + texts


def compared_decoding(raw: str) -> dict[str, Any]:
    """Read a stored decoding without what does not keep two evaluations from being compared."""
    stored = json.loads(raw) if raw else {}
    if not isinstance(stored, dict):
        return {}
    return {name: value for name, value in sorted(stored.items()) if name not in NOT_COMPARED}


def evaluations_here() -> QuerySet[Any]:
    """List every evaluation that can stand on a board, with its decoding as ``drawn``, a text."""
    rows = Evaluation.objects.filter(superseded=False, dataset__isnull=False, n__gt=0)
    return rows.annotate(drawn=Cast("decoding", TextField())).order_by()


def boards_of(
    datasets: Sequence[Dataset] | None = None, *, split: str = "", grader: str | None = None
) -> list[Board]:
    """List the boards of some dataset contents, or of all, the one with the newest evaluation first.

    Two queries. ``grader``: only this one's; an empty name is that of evaluations from before graders were
    recorded.
    """
    rows = evaluations_here()
    if datasets is not None:
        rows = rows.filter(dataset__in=[one.pk for one in datasets])
    if split:
        rows = rows.filter(split=split)
    if grader is not None:
        rows = rows.filter(grader=grader)
    # By run as well: one that drew with several seeds stands on its board once.
    groups = rows.values(
        "dataset_id", "split", "grader", "grader_version", "draws", "drawn", "run_id"
    ).annotate(count=Count("pk"), last=Max("pk"))
    found = list(groups)
    known = {one.pk: one for one in datasets} if datasets is not None else {}
    if datasets is None:
        known = Dataset.objects.in_bulk({group["dataset_id"] for group in found})
    boards: dict[str, Board] = {}
    runs: dict[str, set[int]] = defaultdict(set)
    for group in found:
        board = Board(
            dataset=known[group["dataset_id"]],
            split=group["split"],
            grader=group["grader"],
            grader_version=group["grader_version"],
            draws=group["draws"],
            decoding=compared_decoding(group["drawn"]),
        )
        code = board.code
        one = boards.setdefault(code, board)
        one.raw.add(group["drawn"])
        one.evaluations += group["count"]
        runs[code].add(group["run_id"])
        one.newest = max(one.newest, group["last"])
    for code, board in boards.items():
        board.runs = len(runs[code])
    return sorted(boards.values(), key=lambda one: -one.newest)


def contents_graded(key: str) -> list[Dataset]:
    """List the contents of a dataset key that evaluations were made on, the newest content first."""
    if "\x00" in key:
        return []
    graded = evaluations_here().filter(dataset__key=key).values(pk_of=F("dataset_id")).distinct()
    rows = Dataset.objects.filter(pk__in=[row["pk_of"] for row in graded])
    return list(rows.order_by("-published_at", "-pk"))
