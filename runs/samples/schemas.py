"""Shapes of what the API tells of samples."""

from ninja import Schema
from pydantic import Field

from runs.models import Run, Sample


class SampleOut(Schema):
    """A held-out prompt, what was expected and what the model wrote."""

    evaluation_id: int
    position: int
    trace_hash: str
    prompt: str
    expected_steps: list[str]
    expected_answer: str
    generated_text: str
    generated_steps: list[str]
    steps_valid: list[bool | None]
    answer: str | None
    correct: bool
    rule: str
    draw: int = Field(description="number of the text after this prompt")
    tokens: int | None
    finished: bool = Field(description="the model ended the text itself")
    first_wrong_step: int | None = Field(description="index of the first step that is not valid")
    checks: dict[str, bool | None] = Field(description="further checks; null: nothing to check")
    majority_correct: bool | None = Field(
        description="on the first of several texts: whether their commonest answer is right"
    )
    overlap: str

    @classmethod
    def of(cls, row: Sample) -> "SampleOut":
        """Describe a sample."""
        return cls(**{name: getattr(row, name) for name in SampleOut.model_fields})


class SampleListOut(Schema):
    """A page of one evaluation's samples."""

    evaluation_id: int | None
    items: list[SampleOut]
    count: int


class RunSampleOut(SampleOut):
    """A sample with the run and the step that it comes from."""

    run_id: int
    run_name: str
    step: int

    @classmethod
    def of_run(cls, run: Run, row: Sample) -> "RunSampleOut":
        """Describe a sample of a run."""
        same = {name: getattr(row, name) for name in SampleOut.model_fields}
        return cls(**same, run_id=run.pk, run_name=run.name, step=row.evaluation.step)


class PromptOut(Schema):
    """The same prompt in several runs, each at its newest evaluation that holds it."""

    trace_hash: str
    items: list[RunSampleOut]
    without: list[int] = Field(description="runs asked for of which no evaluation holds the prompt")
