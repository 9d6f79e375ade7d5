"""Two evaluations on the same prompts: the test, the prompts that changed, and what cannot be compared."""

from typing import Any

import pytest

from runs.compare.pairing import Paired
from runs.evaluation_pairs.changes import in_full, pair_up
from runs.models import Evaluation, Sample
from runs.tests.samples_support import graded, training
from runs.tests.support import make_dataset
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def two():
    """Evaluations of two trainings: they share a to d; a alone holds e, b alone f and g."""
    first = [graded("a"), graded("b"), graded("c", "9"), graded("d", "9"), graded("e")]
    second = [graded("a"), graded("b", "9"), graded("c"), graded("d", "8"), graded("f"), graded("g")]
    training(first, name="first")
    training(second, name="second")
    return tuple(Evaluation.objects.select_related("run", "dataset").order_by("pk"))


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(ids: object = "", code: int = 200, **query: object) -> str:
        asked = {"ids": str(ids), **{name: str(value) for name, value in query.items()}}
        return page_text(client.get("/evaluations/compare/", asked), code)

    return read


@pytest.fixture
def call(client, token_headers):
    headers = token_headers("read")

    def read(ids: str, code: int = 200, **query):
        answer = client.get("/api/training/evaluation-pairs", {"ids": ids, **query}, headers=headers)
        assert answer.status_code == code, answer.content
        return answer.json()

    return read


def ids_of(rows) -> str:
    return ",".join(str(row.pk) for row in rows)


def test_only_prompts_that_both_hold_are_counted(two):
    a, b = two
    pairing = pair_up(a, b)
    assert pairing.counts == Paired(both_right=1, only_baseline=1, only_other=1, both_wrong=1)
    assert (pairing.only_a, pairing.only_b) == (1, 2)
    assert pairing.words == "Neither is ahead."
    changed = in_full(a, b, pairing, pairing.prompts("changed"))
    assert [(one.prompt, one.change) for one in changed] == [
        ("b", "right in a alone"),
        ("c", "right in b alone"),
    ]
    assert [one.prompt for one in in_full(a, b, pairing, pairing.prompts("lost"))] == ["b"]
    assert [one.prompt for one in in_full(a, b, pairing, pairing.prompts("gained"))] == ["c"]


@pytest.mark.parametrize(
    ("right_a", "right_b", "words"),
    [
        (9, 0, "a is ahead, by more than chance explains."),
        (0, 9, "b is ahead, by more than chance explains."),
        (2, 0, "a is ahead, but chance may explain it."),
        (0, 0, "They agree on every prompt that both hold."),
    ],
)
def test_the_verdict_stands_in_words(right_a, right_b, words):
    prompts = [str(number) for number in range(max(1, right_a + right_b))]
    training([graded(one, "0" if right_a else "9") for one in prompts])
    training([graded(one, "0" if right_b else "9") for one in prompts])
    assert pair_up(*Evaluation.objects.order_by("pk")).words == words


def test_of_several_texts_a_prompt_the_commonest_answer_counts(two):
    a, b = two
    Sample.objects.filter(evaluation=a, prompt="a").update(majority_correct=False)
    again = Sample.objects.get(evaluation=b, prompt="b")
    again.pk, again.draw, again.correct = None, 1, True
    again._state.adding = True
    again.save()
    pairing = pair_up(a, b)
    assert pairing.counts == Paired(only_baseline=1, only_other=2, both_wrong=1)
    (one,) = in_full(a, b, pairing, [pairing.prompts("gained")[0]])
    assert (one.prompt, one.a.right, one.a.sample.correct) == ("a", False, True)


def test_the_page_tells_counts_test_what_is_left_out_and_what_changed(page, two):
    text = page(ids_of(two))
    assert "Neither is ahead." in text
    assert "p = 1.0000, exact McNemar test on the 2 prompts" in text
    assert "Left out, for one alone holds them: 1 of a, 2 of b." in text
    counts = '<th scope="row">a right</th><td class="num">1</td><td class="num">1</td>'
    assert counts in text
    assert "expected 0; right in a alone" in text
    assert "expected 0; right in b alone" in text
    only = page(ids_of(two), show="gained")
    assert "right in a alone</span></h3>" not in only
    assert "right in b alone" in page(ids_of(two), show="<b>")


def test_changed_prompts_come_a_page_at_a_time(page):
    training([graded(str(number)) for number in range(25)])
    training([graded(str(number), "9") for number in range(25)])
    ids = ids_of(Evaluation.objects.order_by("pk"))
    assert "1 – 10 of 25" in page(ids)
    assert "21 – 25 of 25" in page(ids, page=3)
    assert "p &lt; 0.0001" in page(ids)


APART: dict[str, dict[str, Any]] = {
    "split": {"split": "train"},
    "grader": {"grader": "numeric", "grader_version": 1},
    "content": {"dataset": None},
}


@pytest.mark.parametrize("what", APART)
def test_what_was_not_graded_alike_is_refused_and_both_are_named(page, call, two, what):
    a, b = two
    Evaluation.objects.filter(pk=b.pk).update(**APART[what])
    said = {
        "split": "split: test against train",
        "grader": "grader: graded before graders were recorded against numeric 1",
        "content": f"dataset content: {a.dataset.address} against none",
    }[what]
    refusal = call(ids_of(two), 409)["detail"]
    assert refusal.startswith(f"Evaluations {a.pk} and {b.pk} cannot be compared. {said}.")
    text = page(ids_of(two), 409)
    assert said in text
    assert "On the same prompts" not in text


def test_another_version_of_the_grader_is_another_grader(call, two):
    a, b = two
    Evaluation.objects.filter(pk=a.pk).update(grader="auto", grader_version=1)
    Evaluation.objects.filter(pk=b.pk).update(grader="auto", grader_version=2)
    assert "grader: auto 1 against auto 2" in call(ids_of(two), 409)["detail"]


def test_other_decoding_is_compared_with_a_note(call, two):
    _, b = two
    Evaluation.objects.filter(pk=b.pk).update(decoding={"temperature": 0.8}, draws=4)
    notes = call(ids_of(two))["notes"]
    assert "drawn in different ways" in notes[0]
    assert "the commonest answer counts" in notes[1]


@pytest.mark.parametrize(
    ("ids", "code", "said"),
    [
        ("1", 422, "Two evaluations are compared, and 1 were named"),
        ("1,2,3", 422, "Two evaluations are compared, and 3 were named"),
        ("7,7", 422, "Evaluation 7 beside itself shows nothing"),
        ("1,x", 422, "“x” is no number"),
        ("1,0", 422, "“0” is no number"),
        ("1,٣", 422, "is no number"),
        ("4711,4712", 404, "There is no evaluation 4711 and no evaluation 4712"),
    ],
)
def test_what_is_no_pair_is_told(page, ids, code, said):
    assert said in page(ids, code)


def test_the_page_asks_for_two_and_takes_a_form_of_two_choices(page, two):
    assert "Name two evaluations" in page()
    a, b = two
    assert "Neither is ahead." in page(a=a.pk, b=b.pk)


def test_the_tab_of_evaluations_leads_to_the_comparison(client, viewer):
    client.force_login(viewer)
    run = training([graded("a")], [graded("a", "9")])
    text = page_text(client.get(f"/runs/{run.pk}/evaluations/"))
    assert 'action="/evaluations/compare/"' in text
    single = training([graded("a")])
    assert "/evaluations/compare/" not in page_text(client.get(f"/runs/{single.pk}/evaluations/"))


def test_programs_get_counts_and_pairs(call, two):
    answer = call(ids_of(two), limit=1)
    assert (answer["n"], answer["only_a_right"], answer["only_b_right"], answer["p_value"]) == (4, 1, 1, 1.0)
    assert (answer["only_in_a"], answer["only_in_b"], answer["count"]) == (1, 2, 2)
    (pair,) = answer["pairs"]
    assert (pair["prompt"], pair["a"]["right"], pair["b"]["right"], pair["b"]["answer"]) == (
        "b",
        True,
        False,
        "9",
    )
    assert pair["a"]["steps"] == ["7+3=0"]
    call(ids_of(two), 422, show="odd")


def test_wild_texts_are_text(page):
    make_dataset()
    training([graded(WILD, WILD, correct=True, generated_steps=(WILD,))], name=WILD)
    training([graded(WILD, "9")], name=WILD)
    assert "<script>alert" not in page(ids_of(Evaluation.objects.order_by("pk")))


def test_a_comparison_costs_the_same_number_of_queries_however_many_prompts(
    page, django_assert_max_num_queries
):
    training([graded(str(number)) for number in range(60)])
    training([graded(str(number), "9") for number in range(60)])
    ids = ids_of(Evaluation.objects.order_by("pk"))
    with django_assert_max_num_queries(9):
        page(ids)


def test_a_person_without_a_role_sees_nothing(client, make_user, two):
    client.force_login(make_user("nobody"))
    assert client.get("/evaluations/compare/", {"ids": ids_of(two)}).status_code == 403
