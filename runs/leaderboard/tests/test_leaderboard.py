"""Boards: what can be compared stands together, nothing else does, and overlap is marked."""

import pytest

from datasets_app.services import seed_dataset
from runs.leaderboard.boards import boards_of
from runs.leaderboard.entries import standing
from runs.leaderboard.tests.support import clean, make_runs, store
from runs.models import Evaluation
from runs.overlap.checking import check
from runs.overlap.tests.support import asked, content, trace, trained_on
from runs.tests.support import make_dataset
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def data():
    return make_dataset()


@pytest.fixture
def page(client, viewer, data):
    client.force_login(viewer)

    def read(address: str = "", **query: object) -> str:
        asked_for = {name: str(value) for name, value in query.items()}
        return page_text(client.get(f"/leaderboard/{address or data.key}/", asked_for))

    return read


def only_board(data):
    (board,) = boards_of([data])
    return board


def test_a_run_stands_by_what_it_was_before_its_first_update_only_where_nothing_else_is_there(data):
    learning, new = make_runs(2, data)
    store(learning, 400, 500, step=0)
    later = store(learning, 30, 64, step=100)
    begun = store(new, 10, 100, step=0)
    assert {entry.evaluation.pk for entry in standing(only_board(data)).entries} == {later.pk, begun.pk}
    assert standing(only_board(data), every=True).count == 3


def test_a_leaderboard_entry_whose_test_prompts_stand_in_its_training_data_is_marked(client, viewer):
    client.force_login(viewer)
    tests = content("tests", trace("known", split="train"), trace("new", split="test"))
    leaky = content("leaky", trace("new"), trace("other"))
    honest = trained_on(tests, [asked("new")], grader="auto", grader_version=1)
    known = trained_on(leaky, [asked("new")], grader="auto", grader_version=1)
    Evaluation.objects.filter(pk=known.pk).update(dataset=tests)
    for one in Evaluation.objects.select_related("run__dataset"):
        check(one)
    (board,) = boards_of([tests])
    marks = {entry.evaluation.pk: entry.overlap.mark for entry in standing(board).entries}
    assert marks == {honest.pk: "clean", known.pk: "prompts"}
    text = page_text(client.get("/leaderboard/tests/"))
    assert text.count("1 of 1 prompts in training data") == 1
    assert text.count('class="overlapping"') == 1
    assert "1 evaluation overlaps with the data that its model was trained on" in text
    hidden = page_text(client.get("/leaderboard/tests/", {"overlap": "hide"}))
    assert "prompts in training data" not in hidden
    assert f"run {known.run_id}" not in hidden
    assert f"run {honest.run_id}" in hidden


def test_each_run_stands_there_once_and_all_come_where_asked(page, data):
    first, second = make_runs(2, data)
    store(first, 60, step=10)
    best = store(first, 80, step=20)
    store(first, 5, n=5, step=30)
    store(second, 70)
    found = standing(only_board(data))
    assert [entry.evaluation.step for entry in found.entries] == [20, 10]
    assert [str(entry.rank) for entry in found.entries] == ["1–2", "1–2"]
    assert standing(only_board(data), every=True).count == 4
    text = page()
    assert "80.0 %" in text
    assert "60.0 %" not in text
    assert "All 4 evaluations" in text
    assert "60.0 %" in page(all=1)
    assert f"a: evaluation {best.pk} of run" in text


def test_the_best_of_several_looks_does_not_stand_for_a_run(data):
    (run,) = make_runs(1, data)
    store(run, 90, step=10)
    newest = store(run, 80, step=20)
    assert [entry.evaluation for entry in standing(only_board(data)).entries] == [newest]


def test_the_room_for_a_text_parts_no_board(data):
    first, second = make_runs(2, data)
    store(first, 80)
    store(second, 10, decoding={"temperature": 0.0, "max_new_tokens": 4})
    assert standing(only_board(data)).count == 2


def test_a_run_does_not_win_by_few_prompts(data):
    (run,) = make_runs(1, data)
    large = store(run, 470, n=500, step=10)
    store(run, 8, n=8, step=20)
    assert [entry.evaluation for entry in standing(only_board(data)).entries] == [large]


APART = {
    "split": {"split": "train"},
    "grader": {"grader": "numeric"},
    "version": {"grader_version": 2},
    "old": {"grader": "", "grader_version": 0, "decoding": {}},
    "temperature": {"decoding": {"temperature": 0.8, "max_new_tokens": 256}, "draws": 1},
    "draws": {"decoding": {"temperature": 0.8, "max_new_tokens": 256}, "draws": 8},
}


@pytest.mark.parametrize("change", APART.values(), ids=APART)
def test_what_cannot_be_compared_has_a_board_of_its_own_and_the_page_says_so(page, data, change):
    first, second = make_runs(2, data)
    store(first, 80)
    store(second, 90, **change)
    boards = boards_of([data])
    assert len(boards) == 2
    assert {standing(board).count for board in boards} == {1}
    text = page()
    assert "2 boards: evaluations by another grader or version of it, on another split" in text
    assert text.count('class="card board"') == 2
    assert text.count('<td class="num nowrap">1</td>') == 2
    alone = page(board=boards[0].code)
    assert alone.count('class="card board"') == 1
    assert "Show all 2 boards of this content" in alone


def test_another_seed_of_the_draws_is_compared_and_the_order_of_the_stored_settings_means_nothing(data):
    first, second = make_runs(2, data)
    store(first, 80, decoding={"temperature": 0.8, "top_p": 0.9, "seed": 1})
    store(second, 90, decoding={"seed": 2, "top_p": 0.9, "temperature": 0.8})
    assert standing(only_board(data)).count == 2
    assert only_board(data).runs == 2
    store(first, 70, step=20, decoding={"temperature": 0.8, "top_p": 0.9, "seed": 3})
    assert (only_board(data).runs, only_board(data).evaluations) == (2, 3)


def test_other_contents_of_a_key_have_boards_of_their_own(page):
    old = seed_dataset(key="golden-v2", count=30).dataset
    new = seed_dataset(key="golden-v2", count=40).dataset
    (one,), (other,) = make_runs(1, old), make_runs(1, new)
    store(one, 80)
    assert old.content_hash[:12] in page("golden-v2")
    store(other, 90)
    text = page("golden-v2")
    assert "90.0 %" in text
    assert "80.0 %" not in text
    assert "other contents have boards of their own" in text
    assert "80.0 %" in page(old.address)


def test_what_was_not_looked_at_is_marked(page, data):
    runs = make_runs(3, data)
    store(runs[0], 80, overlap=None)
    store(runs[1], 70, overlap={"state": "looking", "at": 1.0})
    store(runs[2], 60, overlap=clean(ngram=3))
    text = page()
    assert text.count("not checked</span>") == 2
    assert "2 were not checked for overlap yet" in text
    assert "3 of 100 share 13 words with training data" in text


def test_figures_from_before_they_were_recorded_are_not_made_up(page, data):
    (run,) = make_runs(1, data)
    store(run, 80, grader="", grader_version=0, decoding={}, step_accuracy=None, right_with_invalid_step=0)
    text = page()
    assert "graded before graders were recorded" in text
    assert "Decoding not recorded" in text
    assert "not recorded</span>" in text


def test_overtaken_evaluations_and_those_without_a_dataset_stand_on_no_board(data):
    (run,) = make_runs(1, data)
    store(run, 80, superseded=True)
    store(run, 80, step=20, dataset=None)
    assert boards_of() == []


def test_the_list_names_every_dataset_with_its_boards(client, viewer, data):
    client.force_login(viewer)
    assert "No evaluation yet" in page_text(client.get("/leaderboard/"))
    first, second = make_runs(2, data)
    store(first, 80)
    store(first, 80, step=20)
    store(second, 70, split="train")
    text = page_text(client.get("/leaderboard/"))
    (one, other) = boards_of([data])
    assert f"?board={one.code}" in text
    assert f"?board={other.code}" in text
    assert '<td class="num">1</td><td class="num">2</td>' in text


def test_a_long_board_is_paged(page, data):
    for number, run in enumerate(make_runs(60, data)):
        store(run, number)
    first = page()
    assert "All 60 entries" in first
    board = only_board(data)
    second = page(board=board.code, page=2)
    assert "51 – 60 of 60" in second
    assert "Nothing is left here" in page(board=board.code, page=99)


def test_wild_names_and_addresses_do_no_harm(page, client, data):
    (run,) = make_runs(1, data)
    run.name = WILD
    run.save()
    store(run, 80)
    assert "<script>alert" not in page()
    assert "There is no such board" in page(board="<b>")
    assert client.get("/leaderboard/nowhere/").status_code == 404
    assert client.get("/leaderboard/golden-v2@x/").status_code == 404
    for query in ({"page": "٣"}, {"page": "9" * 40}, {"board": "'\"<"}, {"split": "x" * 500}):
        assert client.get("/leaderboard/golden-v2/", query).status_code == 200


def test_a_person_without_a_role_sees_no_board(client, make_user, data):
    assert client.get("/leaderboard/").status_code == 302
    client.force_login(make_user("nobody"))
    assert client.get("/leaderboard/").status_code == 403
    assert client.get(f"/leaderboard/{data.key}/").status_code == 403
