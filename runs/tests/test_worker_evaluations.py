"""A worker looks at evaluations that wait, so that neither a page nor a training does."""

import pytest

from runs.models import Alias, Evaluation
from runs.overlap.facts import overlap_facts
from runs.overlap.tests.support import asked, content, trace, trained_on
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import trained
from runs.tests.samples_support import record
from runs.tests.support import wait_until

pytestmark = pytest.mark.usefixtures("process_database")


def looked_at(pk: int) -> bool:
    return overlap_facts(Evaluation.objects.get(pk=pk).overlap).mark != "unchecked"


def test_a_worker_looks_for_overlap_and_lets_best_follow(start_worker):
    data = content("watched", trace("known"), trace("new", split="test"))
    leaky = trained_on(data, [asked("known")], grader="auto", grader_version=1)
    run = trained(5, dataset=data)
    honest = record(
        run.attempts.get(), 5, [asked("new")], grader="auto", grader_version=1, interval=(0.2, 1.0)
    )
    set_rule(scope="watched", name="best", changes={"metric": "interval_low"})
    assert not Alias.objects.exists()
    start_worker()
    wait_until(lambda: looked_at(leaky.pk) and looked_at(honest.pk), what="the look at evaluations")
    leaky.refresh_from_db()
    assert overlap_facts(leaky.overlap).mark == "prompts"
    wait_until(Alias.objects.exists, what="the name that follows")
    alias = Alias.objects.select_related("checkpoint").get()
    assert alias.checkpoint is not None
    assert (alias.checkpoint.run_id, alias.evaluation) == (run.pk, honest)
