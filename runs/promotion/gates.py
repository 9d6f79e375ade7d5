"""Whether a checkpoint meets what a name asks for, condition by condition."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

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


def speaking(rows: QuerySet[Evaluation], rule: AliasRule) -> QuerySet[Any]:
    """Keep the evaluations that a rule looks at: its content, its split, its grader, one text a prompt.

    Each has the seed of its model's training as ``own_seed``, for `may_speak`.
    """
    content = content_of(rule)
    fitting = rows.filter(dataset=content.pk if content else None, split=rule.split, draws=1)
    graded = fitting.filter(grader=rule.grader) if rule.grader else fitting.exclude(grader="")
    return graded.exclude(dataset=None).annotate(own_seed=KeyTextTransform("seed", "run__config"))


def may_speak(row: Any) -> bool:
    """Tell whether nobody chose the texts or the prompts of an evaluation that `speaking` found.

    With a temperature, or with prompts chosen by another seed than the training's own, one could grade
    again and again until a figure is good enough.
    """
    return not row.decoding.get("temperature") and str(row.subset_seed) == str(row.own_seed or 0)


def judge(checkpoint: Checkpoint, rule: AliasRule | None) -> Judged:
    """Hold a checkpoint against a rule.

    Of several evaluations the largest speaks; among those one by the newest version of its grader, and
    then the earliest, so that grading again changes nothing: nobody picks the luckiest.
    """
    rows = evaluations_of(checkpoint)
    if rule is None:
        return Judged(_largest_first(rows.filter(split="test")).first(), [])
    found = next(filter(may_speak, _largest_first(speaking(rows, rule))), None)
    if found is None:
        content = content_of(rule)
        on = content.address if content else rule.scope
        by = f"grader {rule.grader}" if rule.grader else "a recorded grader"
        how = "with the likeliest token, one text a prompt and the training's own subset seed"
        command = f"manage.py evaluate {checkpoint.run_id} --checkpoint {checkpoint.step} --dataset {on}"
        missing = f"there is no evaluation of it on {on}, split {rule.split}, by {by}, {how}"
        return Judged(None, [f"{missing} (make one: {command})"])
    return Judged(found, unmet_by(found, rule))


def _largest_first(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.order_by("-n", "-grader_version", "pk")


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
