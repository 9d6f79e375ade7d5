"""By what a text is measured: the held-out trace that was chosen, a person's word, or the task itself."""

import re
from dataclasses import dataclass
from typing import Final

from datasets_app.generators import FAMILIES
from datasets_app.models import Dataset
from datasets_app.selectors import MemberTrace, family_counts, members, members_at
from runs.models import Run

HELD_OUT_SHOWN: Final = 6
_HASH: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Measure:
    """What is known about the right answer; ``family`` names whose checker knows the steps."""

    family: str = ""
    answer: str | None = None
    steps: tuple[str, ...] = ()
    trace_hash: str = ""


def measure_for(run: Run, *, prompt: str, trace_hash: str = "", answer: str | None = None) -> Measure:
    """Find by what the answer to a prompt is measured.

    What a person expects goes first; the chosen trace counts as long as the prompt is still its own. A
    prompt of a generated family has an answer that can be worked out.
    """
    trace = find_trace(run.dataset, trace_hash) if run.dataset and trace_hash else None
    if trace is not None and trace.prompt == prompt:
        same = answer is None or answer == trace.final_answer
        return Measure(
            trace.family,
            trace.final_answer if same else answer,
            trace.steps if same else (),
            trace.content_hash,
        )
    family = family_of(prompt, run.dataset)
    if not family or answer is not None:
        return Measure(family, answer)
    solved = FAMILIES[family].solve(prompt)
    return Measure(family, solved.final_answer, tuple(step.content for step in solved.steps))


def family_of(prompt: str, dataset: Dataset | None = None) -> str:
    """Name the generated family that a prompt belongs to, of those in the dataset; empty: none.

    Some families ask alike and differ in their steps, so that only the dataset tells them apart.
    """
    known = FAMILIES if dataset is None else family_counts(dataset=dataset)
    for name in known:
        if name in FAMILIES and FAMILIES[name].read_prompt(prompt) is not None:
            return name
    return ""


def find_trace(dataset: Dataset, content_hash: str) -> MemberTrace | None:
    """Find a trace of a dataset by its hash; None also for what is no hash."""
    if not _HASH.fullmatch(content_hash):
        return None
    rows = members(dataset=dataset).filter(trace__content_hash=content_hash)
    position = rows.values_list("position", flat=True).first()
    return None if position is None else next(members_at(dataset=dataset, positions=[position]), None)


def held_out(run: Run, *, start: int = 0) -> list[MemberTrace]:
    """Give a few held-out prompts of a run's dataset, from a number on; empty behind the last."""
    if run.dataset is None:
        return []
    rows = members(dataset=run.dataset, split="test").values_list("position", flat=True)
    wanted = list(rows[start : start + HELD_OUT_SHOWN])
    return list(members_at(dataset=run.dataset, positions=wanted)) if wanted else []
