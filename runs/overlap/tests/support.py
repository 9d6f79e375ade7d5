"""Evaluations of models whose training data holds some of the prompts."""

from collections.abc import Sequence
from typing import Any

from datasets_app.models import Dataset
from datasets_app.publishing import Member
from datasets_app.tests.support_quality import member, published
from datasets_app.traces import make_trace, trace_hash
from runs.models import Evaluation, Run
from runs.tests.samples_support import record
from runs.tests.support import finish, fresh, make_run, release_device, sample, start

LONG = "the quick brown fox jumps over the lazy dog and then it runs {} all the way home again"


def trace(
    prompt: str, steps: Sequence[str] = ("a step",), answer: str = "0", *, split: str = "train"
) -> Member:
    return member(prompt, list(steps), answer, split=split)


def content(key: str, *members: Member) -> Dataset:
    return published(key, list(members))


def asked(prompt: str, steps: Sequence[str] = ("a step",), answer: str = "0", **more: Any) -> Any:
    """A graded sample whose expected trace is this one."""
    record_ = make_trace(prompt=prompt, steps=steps, final_answer=answer)
    return sample(
        trace_id=trace_hash(record_.prompt, record_.steps, record_.final_answer),
        prompt=prompt,
        expected_steps=tuple(steps),
        expected_answer=answer,
        **more,
    )


def evaluated(run: Run, samples: list[Any], step: int = 10, **facts: Any) -> Evaluation:
    """A completed run with one evaluation."""
    attempt = start(run)
    found = record(attempt, step, samples, **facts)
    finish(attempt)
    release_device()
    return found


def trained_on(dataset: Dataset | None, samples: list[Any], **facts: Any) -> Evaluation:
    return evaluated(make_run(dataset=dataset), samples, **facts)


def kinds(evaluation: Evaluation) -> list[str]:
    return list(evaluation.samples.order_by("position", "draw").values_list("overlap", flat=True))


__all__ = ["LONG", "asked", "content", "evaluated", "fresh", "kinds", "trace", "trained_on"]
