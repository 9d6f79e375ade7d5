"""Evaluations in words."""

from runs.models import Evaluation


def in_words(row: Evaluation) -> str:
    """Say how many answers were right, with the interval."""
    return (
        f"{row.correct} of {row.n} = {row.answer_accuracy:.1%} "
        f"(95 % interval {row.interval_low:.1%} to {row.interval_high:.1%})"
    )
