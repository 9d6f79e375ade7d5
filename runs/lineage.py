"""The family of a run: what it came from, what came from it, and what each changed."""

import itertools
from dataclasses import dataclass, field

from runs.models import Run
from runs.states import Kind

MAX_SHOWN = 50
MAX_CHANGES = 6


@dataclass(slots=True)
class Relative:
    """A run of the family: how it came from its parent, and the fields of the recipe that it changed."""

    run: Run
    how: str
    changes: list[str]
    here: bool
    children: "list[Relative]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The family's tree from its oldest run; ``more`` runs are left out."""

    root: Relative
    shown: int
    more: int


def lineage(run: Run) -> Lineage | None:
    """Draw the family of a training, the nearest first where it is large; None where it is alone.

    One query for each generation.
    """
    if run.kind != Kind.TRAIN:
        return None
    line, oldest = [run], run
    while oldest.parent is not None and len(line) < MAX_SHOWN and oldest.parent not in line:
        oldest = oldest.parent
        line.append(oldest)
    known = {one.pk: Relative(one, "", [], one.pk == run.pk) for one in line}
    # The straight line to this run comes first, so that a large family never hides it.
    for child, parent in itertools.pairwise(line):
        _hang(known[parent.pk], known[child.pk])
    generation, more = list(known), 0
    while generation:
        children = Run.objects.filter(parent__in=generation, kind=Kind.TRAIN).exclude(pk__in=known)
        room = MAX_SHOWN - len(known)
        found = list(children.order_by("id")[: room + 1]) if room else []
        if len(found) > room or not room:
            more += children.count() - room
            found = found[:room]
        for child in found:
            known[child.pk] = Relative(child, "", [], False)
            _hang(known[child.parent_id or 0], known[child.pk])
        generation = [child.pk for child in found]
    for relative in known.values():
        relative.children.sort(key=lambda one: one.run.pk)
    return Lineage(known[oldest.pk], len(known), more) if len(known) > 1 or more else None


def _hang(parent: Relative, child: Relative) -> None:
    before, now = parent.run.config, child.run.config
    changed = [
        f"{name} {before.get(name)} → {value}" for name, value in now.items() if before.get(name) != value
    ]
    left = len(changed) - MAX_CHANGES
    child.changes = changed[:MAX_CHANGES] + ([f"and {left} more"] if left > 0 else [])
    if child.run.parent_step is not None:
        child.how = f"from step {child.run.parent_step}"
    else:
        child.how = "repeats it" if "reproduces" in child.run.params else "from its first step"
    parent.children.append(child)
