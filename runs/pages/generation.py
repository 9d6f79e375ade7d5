"""What a run of generation wrote, and how it was drawn."""

from dataclasses import dataclass
from typing import Any

from runs.models import Run
from runs.states import Kind
from training.decoding import Decoding


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generation wrote: its prompt, the texts, and the settings (name, value, meaning)."""

    prompt: str
    texts: list[dict[str, Any]]
    settings: list[tuple[str, Any, str]]


def generation(run: Run) -> Generation | None:
    """Give what a run of generation wrote; None for other runs and before it has ended."""
    if run.kind != Kind.GENERATE or not run.result:
        return None
    # A run from before there were several texts holds its only one directly.
    texts = run.result.get("texts") or [run.result]
    settings = [
        (name.replace("_", "-"), run.params.get(name, field.default), field.description or "")
        for name, field in Decoding.model_fields.items()
    ]
    return Generation(run.params.get("prompt", ""), texts, settings)
