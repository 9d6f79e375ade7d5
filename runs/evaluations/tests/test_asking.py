"""Asking for an evaluation: what is written down, and what is refused in words."""

import pytest

from datasets_app.models import Dataset
from runs.evaluations.asking import MAX_TEXTS, Wanted, make_evaluation, newest_wanted
from runs.evaluations.tests.support import evaluated, trained
from runs.models import Run
from runs.states import Kind, Status
from runs.tests.samples_support import graded
from runs.tests.support import make_run
from runs.verbs import VERBS, offered, perform
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    return trained(config={"seed": 7})


def test_the_draft_holds_everything_that_decides_the_result(run):
    wanted = Wanted(
        checkpoint="10", split="train", limit=3, grader="numeric", decoding={"temperature": 1, "samples": 4}
    )
    made = make_evaluation(run, wanted, origin="a test")
    assert (made.kind, made.status, made.parent, made.parent_step) == (Kind.EVALUATE, Status.DRAFT, run, 10)
    assert (made.total_steps, made.origin, made.dataset) == (3, "a test", run.dataset)
    assert made.params == {
        "step_dir": run.checkpoints.get().path,
        "step": 10,
        "split": "train",
        "limit": 3,
        "grader": "numeric",
        "subset_seed": 7,
        "decoding": {"temperature": 1, "samples": 4},
    }


def test_the_grader_is_the_one_chosen_else_the_recipes_else_the_datasets(run):
    def grader(**wanted):
        return make_evaluation(run, Wanted(**wanted)).params["grader"]

    assert grader() == "auto"
    run.dataset.recipe = {"kind": "import", "format": "gsm8k"}
    assert grader() == "gsm8k_flexible"
    run.config["grader"] = "numeric"
    assert grader() == "numeric"
    assert grader(grader="auto") == "auto"


def test_progress_counts_the_prompts_that_there_are(run):
    made = make_evaluation(run, Wanted(limit=1000))
    assert made.total_steps == run.dataset.test_count < 1000


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (Wanted(grader="guess"), InvalidInputError, "no grader 'guess'; there are auto"),
        (Wanted(decoding={"samples": 4}), InvalidInputError, "samples=4 changes nothing at temperature=0"),
        (Wanted(decoding={"temperature": -1}), InvalidInputError, "temperature"),
        (Wanted(limit=0), InvalidInputError, "limit 0: take 1 to"),
        (Wanted(subset_seed=-1), InvalidInputError, "subset_seed -1"),
        (Wanted(split="dev"), InvalidInputError, "split 'dev': there are test and train"),
        (Wanted(checkpoint="11"), NotFoundError, "no checkpoint of step 11 on disk. There are: 10"),
        (Wanted(checkpoint="worst"), NotFoundError, "points at no checkpoint"),
        (Wanted(dataset="nope-v1"), NotFoundError, "no dataset 'nope-v1'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run, wanted, error, said):
    before = Run.objects.count()
    with pytest.raises(error, match=said):
        make_evaluation(run, wanted)
    assert Run.objects.count() == before


def test_a_split_without_traces_is_refused(run):
    Dataset.objects.update(trace_count=run.dataset.train_count, test_count=0)
    run.dataset.refresh_from_db()
    with pytest.raises(InvalidInputError, match=r"no traces in its split test\. Name the other one"):
        make_evaluation(run, Wanted())


def test_more_texts_than_fit_are_refused(run):
    wanted = Wanted(split="train", decoding={"temperature": 1, "samples": 1024})
    Dataset.objects.update(train_count=MAX_TEXTS, trace_count=MAX_TEXTS + run.dataset.test_count)
    run.dataset.refresh_from_db()
    with pytest.raises(InvalidInputError, match="1,024,000 texts"):
        make_evaluation(run, wanted)


def test_only_a_training_has_a_model_to_grade(run):
    grading = make_evaluation(run, Wanted())
    with pytest.raises(ConflictError, match=f"It used the model of run {run.pk}"):
        make_evaluation(grading, Wanted())


def test_a_run_without_a_dataset_wants_one_named():
    run = trained(dataset=None)
    with pytest.raises(InvalidInputError, match=r"no dataset of its own\. Name one"):
        make_evaluation(run, Wanted())


def test_the_verb_queues_it_and_is_offered_where_there_is_a_checkpoint(run, operator):
    assert "evaluate" in {verb.name for verb in offered(run, scope="operate")}
    assert "evaluate" not in {verb.name for verb in offered(make_run(), scope="operate")}
    done = perform(VERBS["evaluate"], run, actor=operator, limit=2)
    assert done.run is not None
    assert (done.run.status, done.run.owner, done.run.total_steps) == (Status.QUEUED, operator, 2)
    assert done.text == f"Run {done.run.pk} grades step 10 of run {run.pk} on 2 prompts of golden-v2."


def test_a_repetition_takes_the_settings_of_the_newest_but_for_what_is_said(run):
    with pytest.raises(NotFoundError, match="none can be repeated"):
        newest_wanted(run, {})
    asked = Wanted(limit=2, grader="numeric", subset_seed=5, decoding={"temperature": 1, "seed": 4})
    evaluated(run, [graded("a"), graded("b")], wanted=asked)
    again = newest_wanted(run, {"limit": 1})
    assert (again.limit, again.grader, again.subset_seed) == (1, "numeric", 5)
    assert (again.checkpoint, again.decoding) == ("10", {"temperature": 1, "seed": 4})
    assert again.dataset == run.dataset.address


def test_a_repetition_changes_only_those_settings_of_decoding_that_are_said(run):
    asked = Wanted(limit=2, decoding={"temperature": 0.8, "samples": 8})
    evaluated(run, [graded("a"), graded("b")], wanted=asked)
    assert newest_wanted(run, {"decoding": {"temperature": 0.5}}).decoding == {
        "temperature": 0.5,
        "samples": 8,
    }
    fewer = newest_wanted(run, {"decoding": {"samples": 4}})
    assert make_evaluation(run, fewer).params["decoding"] == {"temperature": 0.8, "samples": 4}
    assert newest_wanted(run, {}).decoding == {"temperature": 0.8, "samples": 8}


@pytest.mark.parametrize("status", [Status.STOPPED, Status.FAILED, Status.LOST])
def test_an_interrupted_one_can_be_resumed_and_one_that_is_done_not(run, operator, status):
    made = make_evaluation(run, Wanted())
    Run.objects.filter(pk=made.pk).update(status=status, attempt=1)
    made.refresh_from_db()
    assert "resume" in {verb.name for verb in offered(made, scope="operate")}
    perform(VERBS["resume"], made, actor=operator)
    assert Run.objects.get(pk=made.pk).status == Status.QUEUED
    Run.objects.filter(pk=made.pk).update(status=Status.COMPLETED)
    made.refresh_from_db()
    with pytest.raises(ConflictError, match="only a training or an evaluation"):
        perform(VERBS["resume"], made, actor=operator)
