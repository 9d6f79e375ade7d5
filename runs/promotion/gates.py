"""Whether a checkpoint meets what a name asks for, condition by condition."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from datasets_app.models import Dataset
from runs.models import AliasRule, Checkpoint, Evaluation
from runs.overlap.facts import overlap_facts


@dataclass(frozen=True, slots=True)
class Judged:
    """The evaluation that speaks for a checkpoint, and each condition that it does not meet."""

    evaluation: Evaluation | None
    unmet: list[str]


def rule_of(scope: str, name: str) -> AliasRule | None:
    """Find what a name asks for."""
    return AliasRule.objects.filter(scope=scope, name=name).first()


def content_of(rule: AliasRule) -> Dataset | None:
    """Find the dataset content that a rule is about: the one it names, else the newest of the key."""
    rows = Dataset.objects.filter(key=rule.scope, status="published").order_by("-published_at", "-pk")
    return (rows.filter(content_hash__startswith=rule.content_hash) if rule.content_hash else rows).first()


def evaluations_of(checkpoint: Checkpoint) -> QuerySet[Evaluation]:
    """List the evaluations of a checkpoint: those that name it, and those of its run at its step."""
    named = Q(checkpoint=checkpoint)
    same_step = Q(checkpoint=None, run=checkpoint.run_id, step=checkpoint.step)
    rows = Evaluation.objects.filter(named | same_step, superseded=False)
    return rows.select_related("dataset")


def speaking(rows: QuerySet[Evaluation], rule: AliasRule) -> QuerySet[Evaluation]:
    """Keep the evaluations that a rule looks at: its content, its split, its grader."""
    content = content_of(rule)
    fitting = rows.filter(dataset=content.pk if content else None, split=rule.split).exclude(dataset=None)
    return fitting.filter(grader=rule.grader) if rule.grader else fitting.exclude(grader="")


def judge(checkpoint: Checkpoint, rule: AliasRule | None) -> Judged:
    """Hold a checkpoint against a rule.

    Of several evaluations the largest speaks, the newest among those: nobody picks the luckiest.
    """
    rows = evaluations_of(checkpoint)
    if rule is None:
        return Judged(_largest(rows.filter(split="test")), [])
    found = _largest(speaking(rows, rule))
    if found is None:
        content = content_of(rule)
        on = content.address if content else rule.scope
        by = f"grader {rule.grader}" if rule.grader else "a recorded grader"
        command = f"manage.py evaluate {checkpoint.run_id} --checkpoint {checkpoint.step} --dataset {on}"
        return Judged(
            None, [f"there is no evaluation of it on {on}, split {rule.split}, by {by} (make one: {command})"]
        )
    return Judged(found, unmet_by(found, rule))


def _largest(rows: QuerySet[Evaluation]) -> Evaluation | None:
    return rows.order_by("-n", "-pk").first()


def unmet_by(evaluation: Evaluation, rule: AliasRule) -> list[str]:
    """Name each condition of a rule that an evaluation does not meet."""
    unmet = []
    if evaluation.n < rule.min_n:
        unmet.append(f"it was graded on {evaluation.n} prompts, and at least {rule.min_n} are asked for")
    if rule.min_accuracy is not None and evaluation.interval_low < rule.min_accuracy:
        unmet.append(
            f"{evaluation.correct} of {evaluation.n} answers are right, {evaluation.answer_accuracy:.1%}, "
            f"with a lower bound of {evaluation.interval_low:.1%} where {rule.min_accuracy:.1%} is asked for"
        )
    return unmet + _unmet_overlap(evaluation, rule.overlap)


def _unmet_overlap(evaluation: Evaluation, asked: str) -> list[str]:
    facts = overlap_facts(evaluation.overlap)
    if asked == AliasRule.Overlap.ANY:
        return []
    if facts.mark == "unchecked":
        command = f"manage.py check_overlap {evaluation.pk}"
        return [f"whether its prompts stand in the training data was not looked at ({command})"]
    if facts.trace or facts.prompt or (facts.ngram and asked == AliasRule.Overlap.NONE):
        return [facts.words.rstrip(".")]
    return [f"its training data are not wholly known: {facts.why}"] if facts.why else []
