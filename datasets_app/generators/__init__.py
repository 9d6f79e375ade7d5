"""Generators of traces and the checkers that judge their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datasets_app.generators.family import Family
from datasets_app.generators.specs import GENERATORS, GeneratedTrace, GeneratorSpec, generator_for

if TYPE_CHECKING:
    from training.examples import StepChecker

__all__ = [
    "FAMILIES",
    "GENERATORS",
    "GeneratedTrace",
    "GeneratorSpec",
    "check_steps",
    "checker_for",
    "checkers",
    "generator_for",
]

FAMILIES: dict[str, Family[Any, Any]] = {
    family.name: family for spec in GENERATORS.values() for family in spec.families
}


def checker_for(family: str) -> StepChecker | None:
    """Give the step checker of a family, None where there is no such family."""
    known = FAMILIES.get(family)
    return known.check if known else None


def checkers() -> dict[str, StepChecker]:
    """Give the step checkers of all families by name."""
    return {name: family.check for name, family in FAMILIES.items()}


def check_steps(family: str, prompt: str, steps: Sequence[str]) -> list[bool | None]:
    """Judge the steps of a trace by its family's checker; None for each where there is none."""
    known = FAMILIES.get(family)
    return known.check(prompt, steps) if known else [None for _ in steps]
