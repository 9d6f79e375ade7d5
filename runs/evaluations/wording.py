"""Evaluations in words."""

from typing import Any

from runs.models import Evaluation
from training.decoding import Decoding


def in_words(row: Evaluation) -> str:
    """Say how many answers were right, with the interval."""
    return (
        f"{row.correct} of {row.n} = {row.answer_accuracy:.1%} "
        f"(95 % interval {row.interval_low:.1%} to {row.interval_high:.1%})"
    )


def grader_in_words(row: Evaluation) -> str:
    """Say which grader decided, in which version; of old rows that nobody wrote it down."""
    if not row.grader:
        return "graded before graders were recorded"
    return f"{row.grader}, version {row.grader_version}"


def decoding_in_words(decoding: dict[str, Any]) -> str:
    """Say how texts were drawn, leaving out what was as by default; empty where nobody wrote it down."""
    if not decoding:
        return ""
    if not decoding.get("temperature"):
        return f"greedy, at most {decoding.get('max_new_tokens')} tokens"
    shown = [
        f"{name.replace('_', '-')} {decoding[name]:g}"
        for name, field in Decoding.model_fields.items()
        if name in decoding and (decoding[name] != field.default or name == "seed")
    ]
    return ", ".join(shown)


def pass_at_in_words(row: Evaluation) -> str:
    """Say pass@k for each k, and the share of right majorities; empty for one text a prompt."""
    parts = [f"pass@{k} {share:.1%}" for k, share in sorted(row.pass_at.items(), key=lambda one: int(one[0]))]
    if row.majority_accuracy is not None:
        parts.append(f"maj@{row.draws} {row.majority_accuracy:.1%}")
    return ", ".join(parts)
