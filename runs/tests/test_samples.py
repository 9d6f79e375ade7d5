"""Samples over time: what changed since which evaluation, what a page and the API show of it."""

import pytest

from runs.models import Evaluation, Run, Sample
from runs.samples.diffing import Piece, diff_words, step_rows
from runs.samples.line import MAX_SHOWN, find_line
from runs.samples.verdicts import choose, count_each, read_verdicts, search_positions
from runs.states import Kind, Status
from runs.tests.samples_support import graded, hash_of, record, training
from runs.tests.support import finish, fresh, journal, make_dataset, make_run, run_in, start
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

WILD = "<script>alert(1)</script> שלום 🦜 & '\""


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(run: Run, code: int = 200, /, **query: str) -> str:
        return page_text(client.get(f"/runs/{run.pk}/samples/", query_params=query), code)

    return read


@pytest.fixture
def changing():
    """A training whose answers to a, b, c and d change: evaluation 2 grades a and b alone."""
    return training(
        [graded("a", "1"), graded("b"), graded("c", "2"), graded("d")],
        [graded("a"), graded("b", "9")],
        [
            graded("a"),
            graded("b", "8"),
            graded("c", generated_steps=("7+3=1",), steps_valid=(False,)),
            graded("d", None),
            graded("e"),
        ],
    )


def newest(run: Run) -> Evaluation:
    return Evaluation.objects.filter(run=run).latest("pk")


def by_prompt(evaluation: Evaluation) -> dict[str, str]:
    prompts = dict(Sample.objects.filter(evaluation=evaluation).values_list("position", "prompt"))
    return {prompts[one.position]: one.change for one in read_verdicts(evaluation)}


def test_a_change_is_seen_against_the_nearest_earlier_evaluation_that_holds_the_prompt(changing):
    first, second, third = Evaluation.objects.order_by("pk")
    assert set(by_prompt(first).values()) == {"first seen"}
    assert by_prompt(second) == {"a": "became right", "b": "became wrong"}
    assert by_prompt(third) == {"a": "", "b": "", "c": "became right", "d": "became wrong", "e": "first seen"}
    wheres = {one.trace_hash: one.before_evaluation for one in read_verdicts(third)}
    assert (wheres[hash_of("a")], wheres[hash_of("c")]) == (second.pk, first.pk)


def test_a_prompt_is_found_again_however_many_evaluations_lack_it():
    lacking = [[graded("a"), graded(str(number))] for number in range(6)]
    run = training([graded("z")], [graded("z", "1")], *lacking, [graded("a"), graded("z"), graded("new")])
    assert by_prompt(newest(run)) == {"a": "", "z": "became right", "new": "first seen"}
    second = Evaluation.objects.order_by("pk")[1]
    found = {one.trace_hash: one.before_evaluation for one in read_verdicts(newest(run))}
    assert found[hash_of("z")] == second.pk


def test_an_evaluation_of_other_data_or_another_split_is_none_before(changing):
    third = newest(changing)
    Evaluation.objects.exclude(pk=third.pk).update(split="train")
    assert set(by_prompt(third).values()) == {"first seen"}


def test_an_overtaken_evaluation_is_before_only_those_of_its_own_attempt():
    attempt = start(make_run(dataset=make_dataset()))
    record(attempt, 10, [graded("a", "1")])
    old = record(attempt, 20, [graded("a")])
    finish(attempt, Status.STOPPED)
    again = start(fresh(attempt.run))
    journal(again).resumed(5)
    new = record(again, 10, [graded("a", "2")])
    assert by_prompt(new) == {"a": "first seen"}
    old.refresh_from_db()
    assert old.superseded
    assert by_prompt(old) == {"a": "became right"}
    line = find_line(run=fresh(attempt.run))
    assert line is not None
    assert [row.pk for row in line.evaluations] == [new.pk]
    assert line.overtaken == 2
    shown = find_line(run=fresh(attempt.run), overtaken=True)
    assert shown is not None
    assert [row.step for row in shown.evaluations] == [10, 10, 20]


def test_the_filters_and_their_counts_follow_the_search(changing):
    third = newest(changing)
    verdicts = read_verdicts(third)
    assert count_each(verdicts, None) == {
        "all": 5,
        "became_right": 1,
        "became_wrong": 1,
        "wrong": 2,
        "right": 3,
        "right_invalid_step": 1,
    }
    found = search_positions(third, "#8")
    assert [one.position for one in choose(verdicts, "wrong", found)] == [1]
    assert count_each(verdicts, found)["right"] == 0
    assert search_positions(third, " \x00") is None
    assert search_positions(third, "nowhere") == set()


def test_the_database_itself_knows_of_invalid_steps(changing):
    sample = Sample.objects.latest("pk")
    assert sample.invalid_step is False
    for verdicts, invalid in (([True, None], False), ([None, False], True), ([], False)):
        Sample.objects.filter(pk=sample.pk).update(steps_valid=verdicts)
        assert Sample.objects.get(pk=sample.pk).invalid_step is invalid


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b c", "a x c", [("same", "a "), ("gone", "b"), ("new", "x"), ("same", " c")]),
        ("same", "same", [("same", "same")]),
        ("", "new", [("new", "new")]),
        ("old", "", [("gone", "old")]),
        ("", "", []),
    ],
)
def test_words_that_changed_are_told(before, after, expected):
    assert diff_words(before, after) == [Piece(*pair) for pair in expected]


@pytest.mark.parametrize("size", [100, 5000])
def test_a_difference_holds_both_texts_whole_however_long_they_are(size):
    before = "".join(f"{number % 7} \n" for number in range(size))
    after = "".join(f"{number % 5} \n" for number in range(size))
    pieces = diff_words(before, after)
    assert "".join(one.text for one in pieces if one.kind != "new") == before
    assert "".join(one.text for one in pieces if one.kind != "gone") == after


def test_steps_are_laid_side_by_side_with_what_became_of_them():
    rows = step_rows(["a", "x", "c", "d"], [True, False, None], ["a", "b", "c", "d", "e"], ["a", "b", "c"])
    assert [(row.number, row.generated, row.valid, row.expected, row.before, row.change) for row in rows] == [
        (1, "a", True, "a", "a", "same"),
        (2, "x", False, "b", "b", "changed"),
        (3, "c", None, "c", "c", "same"),
        (4, "d", None, "d", None, "new"),
        (5, None, None, "e", None, ""),
    ]
    (gone,) = step_rows([], [], [], ["was"])
    assert (gone.generated, gone.before, gone.change) == (None, "was", "gone")
    assert [row.change for row in step_rows(["a"], [True], ["a"], None)] == [""]


def test_the_page_shows_one_prompt_through_the_evaluations(page, changing):
    text = page(changing, prompt=hash_of("c")[:12])
    for fact in (
        "became right",
        "since step 10",
        "Prompt 3 of 5",
        "7+3=1",
        "not valid",
        "right, with an invalid step",
    ):
        assert fact in text, fact
    assert "<del>" in text
    assert "data-key-j" in text
    assert "data-key-k" in text
    assert "data-key-before" in text
    assert "data-key-after" not in text


def test_the_page_is_filtered_searched_and_says_what_it_cannot_do(page, changing):
    text = page(changing, filter="became_wrong")
    assert "1 of 5 prompts" in text
    assert hash_of("d")[:12] in text
    assert "No prompt fits the search “zzz” and this filter" in page(changing, filter="wrong", q="zzz")
    assert "There is no filter “odd”" in page(changing, filter="odd")
    assert "is no number of an evaluation" in page(changing, evaluation="x")
    assert "has no evaluation 4711" in page(changing, evaluation="4711")
    assert "has no prompt ffff" in page(changing, prompt="ffff")
    assert "Prompt outside this filter" in page(changing, filter="became_wrong", prompt=hash_of("a")[:12])
    first = Evaluation.objects.earliest("pk")
    assert "4 of 4 prompts" in page(changing, evaluation=str(first.pk), page="99")


def test_the_permalink_opens_the_same_prompt_of_the_same_evaluation(page, client, changing):
    first = Evaluation.objects.earliest("pk")
    link = f"?evaluation={first.pk}&amp;prompt={hash_of('c')[:12]}"
    assert f'href="{link}"' in page(changing, evaluation=str(first.pk), prompt=hash_of("c"), filter="wrong")
    text = page(changing, evaluation=str(first.pk), prompt=hash_of("c")[:12])
    assert "no earlier evaluation holds this prompt" in text


def test_what_models_wrote_is_text_and_never_markup(page):
    run = training(
        [graded(WILD, "1", generated_text=WILD, generated_steps=(WILD,))],
        [graded(WILD, WILD, correct=False, generated_text=f"{WILD} more", generated_steps=(WILD * 2,))],
        name=WILD,
    )
    text = page(run, q="<script>")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "1 of 1 prompts" in text


def test_the_same_prompt_in_other_runs_stands_beside_it(page, changing):
    other = training([graded("a", "5")], [graded("a", "6"), graded("c")], name="the other")
    lacking = training([graded("z")], name="lacking")
    text = page(changing, **{"prompt": hash_of("a")[:12], "with": f"{other.pk},{lacking.pk},4711"})
    assert "the other" in text
    assert "at step 20; answer" in text
    assert "No evaluation of this run holds this prompt" in text
    assert "There is no run 4711" in text
    assert "is no run." in page(changing, **{"with": "x"})
    assert "At most 20 fit" in page(changing, **{"with": ",".join(map(str, range(1, 23)))})


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", [Status.DRAFT, Status.RUNNING, Status.FAILED])
def test_a_run_without_samples_says_what_to_do(page, kind, status):
    text = page(run_in(status, kind=kind))
    words = ("No evaluation of this run", "leaves no evaluations of its own", "has stored nothing")
    assert sum(one in text for one in words) == 1


def test_an_evaluation_run_shows_what_it_graded_among_the_evaluations_of_the_model(page, changing):
    grader = make_run(kind=Kind.EVALUATE, parent=changing, dataset=changing.dataset)
    assert "has stored nothing" in page(grader)
    second = Evaluation.objects.order_by("pk")[1]
    Evaluation.objects.filter(pk=second.pk).update(made_by=grader)
    assert "2 of 2 prompts" in page(grader)
    assert "5 of 5 prompts" in page(grader, evaluation=str(newest(changing).pk))


def test_an_evaluation_without_samples_is_shown_too(page):
    assert "0 of 0 prompts" in page(training([]))


def test_many_evaluations_are_cut_to_those_around_the_chosen_one(page):
    attempt = start(make_run(dataset=make_dataset()))
    for step in range(1, 71):
        record(attempt, step, [graded("a")])
    rows = list(Evaluation.objects.order_by("step"))
    for chosen in (rows[0], rows[40], rows[-1]):
        line = find_line(run=attempt.run, evaluation=chosen.pk)
        assert line is not None
        assert len(line.shown) == MAX_SHOWN
        assert chosen.pk in {row.pk for row in line.shown}
    assert f"The {MAX_SHOWN} evaluations around this one, of 70" in page(attempt.run)


def test_a_page_costs_the_same_number_of_queries_whatever_there_is(page, django_assert_max_num_queries):
    prompts = [str(number) for number in range(60)]
    few = training([graded(one) for one in prompts[:3]], [graded(one) for one in prompts[:3]])
    many = training(*[[graded(one) for one in prompts[: 20 + 5 * number]] for number in range(8)])
    for run in (few, many):
        with django_assert_max_num_queries(24):
            page(run, q="7", **{"with": f"{few.pk},{many.pk}"})


def test_the_api_filters_searches_and_finds_by_hash(client, token_headers, changing):
    headers = token_headers("read")
    url = f"/api/training/runs/{changing.pk}/samples"

    def prompts(**query):
        answer = client.get(url, query, headers=headers).json()
        assert answer["count"] == len(answer["items"])
        return [one["prompt"] for one in answer["items"]]

    assert prompts() == ["a", "b", "c", "d", "e"]
    assert prompts(verdict="wrong") == prompts(filter="wrong") == ["b", "d"]
    assert prompts(filter="became_right") == ["c"]
    assert prompts(filter="right_invalid_step") == ["c"]
    assert prompts(q="#8") == ["b"]
    assert prompts(prompt=hash_of("e")[:10]) == ["e"]
    assert prompts(prompt=hash_of("e"), filter="wrong") == []
    first = Evaluation.objects.earliest("pk")
    assert prompts(evaluation=first.pk, filter="right") == ["b", "d"]
    page = client.get(url, {"filter": "right", "limit": 1, "offset": 1}, headers=headers).json()
    assert (page["count"], [one["prompt"] for one in page["items"]]) == (3, ["c"])
    for bad in ({"filter": "odd"}, {"prompt": "XYZ"}, {"q": "x" * 201}):
        assert client.get(url, bad, headers=headers).status_code == 422


def test_the_api_gives_one_prompt_across_runs(client, token_headers, changing):
    headers = token_headers("read")
    other = training([graded("a", "5")], [graded("a", "6")], name="the other")
    lacking = training([graded("z")])
    url = f"/api/training/samples/{hash_of('a')}"
    asked = f"{other.pk},{changing.pk},{lacking.pk}"
    answer = client.get(url, {"runs": asked}, headers=headers).json()
    assert [(one["run_id"], one["step"], one["answer"]) for one in answer["items"]] == [
        (other.pk, 20, "6"),
        (changing.pk, 30, "0"),
    ]
    assert answer["without"] == [lacking.pk]
    assert client.get(url, {"runs": "4711"}, headers=headers).status_code == 404
    assert client.get(url, {"runs": "x"}, headers=headers).status_code == 422
    assert client.get("/api/training/samples/short", {"runs": "1"}, headers=headers).status_code == 422
