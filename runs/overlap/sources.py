"""Which data a model was trained on: the contents of its run and of the runs that it went on from."""

from dataclasses import dataclass, field
from pathlib import Path

from datasets_app.models import Dataset
from runs.models import Run


@dataclass(slots=True)
class Sources:
    """The dataset contents that went into a model, each with the run that read it first seen.

    ``unknown`` says in words what else went into it that nobody here knows.
    """

    contents: dict[int, Dataset] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def training_sources(run: Run) -> Sources:
    """Follow a run and what it was forked from; a clone begins anew, so its pattern is no ancestor.

    One query for each ancestor.
    """
    found, seen = Sources(), set[int]()
    one: Run | None = run
    while one is not None and one.pk not in seen:
        seen.add(one.pk)
        if one.dataset is None:
            found.unknown.append(f"run {one.pk} names no dataset")
        elif one.dataset_id not in found.contents:
            found.contents[one.dataset.pk] = one.dataset
            found.runs[one.dataset.pk] = one.pk
        if one.parent_step is None and _began_elsewhere(one):
            found.unknown.append(f"run {one.pk} began from {one.resume_path}, a checkpoint of no run here")
        if one.parent_step is not None and one.parent_id is None:
            found.unknown.append(f"what run {one.pk} was forked from is not here")
        one = one.parent if one.parent_step is not None else None
    return found


def _began_elsewhere(run: Run) -> bool:
    """Tell whether a run started from a checkpoint that is not one of its own."""
    if not run.resume_path or run.resume_attempt != 1:
        return False
    return not run.checkpoint_dir or Path(run.resume_path).parent != Path(run.checkpoint_dir)
