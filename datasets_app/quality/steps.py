"""Are the steps of a trace right? By its family's checker, and by what is written in them."""

from collections.abc import Sequence

from datasets_app.generators import check_steps
from training.grading.steps import StepVerdicts, check_written


def check_trace(family: str, prompt: str, steps: Sequence[str], final_answer: str) -> StepVerdicts:
    """Check everything that can be checked of a trace (see `training.grading.steps.check_written`)."""
    return check_written(check_steps(family, prompt, steps), prompt, steps, final_answer)
