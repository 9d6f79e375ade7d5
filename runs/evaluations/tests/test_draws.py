"""Readers that show one verdict a prompt, where an evaluation has several texts a prompt."""

import pytest

from runs.compare.grades import read_grades
from runs.demo import held_out_sample
from runs.evaluations.tests.support import drawn, evaluated, trained
from runs.models import Evaluation
from runs.samples.reading import elsewhere, history, matrix, read_detail
from runs.samples.verdicts import choose, read_verdicts
from runs.tests.samples_support import graded, hash_of
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

# Right by the majority though the first text is wrong, wrong though the first is right, right throughout.
AGAINST = drawn("a", ["1", "0", "0"], True)
FOR = drawn("b", ["0", "1", "1"], False)
ALWAYS = [graded("c", draw=draw, majority_correct=True if draw == 0 else None) for draw in range(3)]
ALWAYS[0] = graded("c", draw=0, majority_correct=True, steps_valid=(False,))
WRONG_STEP = [graded("d", "1", draw=0, majority_correct=True, steps_valid=(False,))] + [
    graded("d", draw=draw) for draw in (1, 2)
]
SAMPLES = [*AGAINST, *FOR, *ALWAYS, *WRONG_STEP]


@pytest.fixture
def run():
    return trained()


@pytest.fixture
def row(run):
    before = [graded(name) for name in "abcd"]
    evaluated(run, before)
    return evaluated(run, SAMPLES)


def test_the_verdict_on_a_prompt_is_that_on_the_majority_of_its_texts(row):
    verdicts = read_verdicts(row)
    assert [(one.position, one.correct, one.before) for one in verdicts] == [
        (0, True, True), (1, False, True), (2, True, True), (3, True, True),
    ]  # fmt: skip
    assert [one.position for one in choose(verdicts, "became_wrong", None)] == [1]
    # A wrong step of a first text that is wrong itself says nothing of the answer that won.
    assert [one.position for one in choose(verdicts, "right_invalid_step", None)] == [2]


def test_a_prompt_that_came_before_with_several_texts_is_compared_by_their_majority(run, row):
    later = evaluated(run, [graded(name) for name in "abcd"])
    assert [one.before for one in read_verdicts(later)] == [True, False, True, True]


def test_runs_are_compared_by_the_majority(row):
    grades = read_grades([row])[row.pk]
    assert grades.right == {hash_of("a"): True, hash_of("b"): False, hash_of("c"): True, hash_of("d"): True}
    assert sorted(grades.position.values()) == [0, 1, 2, 3]


def test_tables_details_and_histories_show_each_prompt_once(run, row):
    line = list(Evaluation.objects.order_by("pk"))
    verdicts = read_verdicts(row)
    table = matrix(evaluation=row, line=line, verdicts=verdicts)
    assert [(one.prompt, one.cells[1].state) for one in table] == [
        ("a", "right"), ("b", "wrong"), ("c", "invalid"), ("d", "right"),
    ]  # fmt: skip
    detail = read_detail(evaluation=row, verdict=verdicts[0])
    assert (detail.sample.draw, detail.sample.answer) == (0, "1")
    assert [(one.draw, one.answer) for one in detail.others] == [(1, "0"), (2, "0")]
    moments = history(line=line, trace_hash=hash_of("b"))
    assert [moment.cell.state for moment in moments] == ["right", "wrong"]
    found = elsewhere(runs=[run], trace_hash=hash_of("a"))[0].sample
    assert found is not None
    assert (found.draw, found.prompt_correct) == (0, True)
    sample = held_out_sample(row)
    assert sample is not None
    assert sample.draw == 0


def test_pages_and_api_show_the_first_text_with_the_verdict_on_the_prompt(client, viewer, run, row):
    client.force_login(viewer)
    text = page_text(client.get(f"/runs/{run.pk}/samples/?evaluation={row.pk}&prompt={hash_of('a')[:12]}"))
    assert "4 of 4 prompts" in text
    assert "by the commonest answer of 3 texts" in text
    assert "Its other texts" in text
    api = f"/api/training/runs/{run.pk}/samples?evaluation={row.pk}"
    answer = client.get(api).json()
    assert [(one["position"], one["draw"], one["majority_correct"]) for one in answer["items"]] == [
        (0, 0, True), (1, 0, False), (2, 0, True), (3, 0, True),
    ]  # fmt: skip
    assert (answer["count"], client.get(f"{api}&verdict=wrong").json()["count"]) == (4, 1)
    assert client.get(f"{api}&filter=wrong&limit=1").json()["items"][0]["position"] == 1
    page_text(client.get(f"/runs/{run.pk}/"))
    page_text(client.get(f"/runs/compare/?ids={run.pk},{row.made_by_id}&prompts=all"))
