"""What a recipe says that its training comes to, beside what it came to."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runs.models import Evaluation, Run

type MetricName = Literal["eval/answer_accuracy", "eval/step_accuracy"]


class Figure(BaseModel):
    """An expected share: at least, at most, or about so much, with who says so."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    metric: MetricName
    at_least: Annotated[float, Field(ge=0, le=1)] | None = None
    at_most: Annotated[float, Field(ge=0, le=1)] | None = None
    published: Annotated[float, Field(ge=0, le=1)] | None = None
    source: Annotated[str, Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None and self.published is None:
            raise ValueError("a figure needs at_least, at_most or published")
        return self

    @property
    def words(self) -> str:
        """Say what is expected."""
        parts = []
        if self.at_least is not None:
            parts.append(f"at least {self.at_least:.1%}")
        if self.at_most is not None:
            parts.append(f"at most {self.at_most:.1%}")
        if self.published is not None:
            parts.append(f"{self.published:.1%} published")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Measured:
    """An expected figure beside the measured one; ``met`` is None where nothing is demanded or measured."""

    figure: Figure
    value: float | None
    evaluation: Evaluation | None
    met: bool | None


def figures_of(run: Run) -> list[Figure]:
    """Give what the recipe of a run expects of it."""
    kept: list[dict[str, Any]] = (run.params.get("recipe") or {}).get("figures") or []
    return [Figure.model_validate(one) for one in kept]


def measure(run: Run) -> list[Measured]:
    """Set what a run came to beside what its recipe expects, by its final evaluation."""
    expected = figures_of(run)
    if not expected:
        return []
    rows = Evaluation.objects.filter(made_by=run, superseded=False, final=True)
    evaluation = rows.order_by("-step", "-n").first()
    return [_beside(figure, evaluation) for figure in expected]


def _beside(figure: Figure, evaluation: Evaluation | None) -> Measured:
    value = evaluation.metrics[figure.metric] if evaluation else None
    if value is None or (figure.at_least is None and figure.at_most is None):
        return Measured(figure, value, evaluation, None)
    low = figure.at_least is None or value >= figure.at_least
    high = figure.at_most is None or value <= figure.at_most
    return Measured(figure, value, evaluation, low and high)
