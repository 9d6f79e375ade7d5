"""The tabs of a run's page: full, empty, failed and huge, for each kind of run, and what they cost."""

import re

import pytest
from django.utils.html import escape

from runs.models import Attempt, Checkpoint, Evaluation, Reproduction, Run
from runs.pages.tests.support import (
    EVERY_TAB,
    LONG,
    TABS,
    failed_run,
    finished_run,
    forked_run,
    make_huge,
    running_run,
    written_run,
)
from runs.run_page import KINDS_OF
from runs.run_page import TABS as ALL_TABS
from runs.states import Kind, Status
from runs.tests.support import fresh, make_run, release_device, run_in
from tunix_site.models import AuditEvent
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(run: Run, tab: str = "", /, **query: str) -> str:
        return page_text(client.get(f"/runs/{run.pk}/{tab}", query_params=query))

    return read


@pytest.fixture
def finished(tmp_path):
    return finished_run(tmp_path)


# The session, the person, the rights (2), the run with what its head names, the starts that were not exact.
FRAME = 6
BUDGETS = {
    "": FRAME + 14,
    "evaluations/": FRAME + 4,
    "logs/": FRAME + 1,
    "config/": FRAME,
    "checkpoints/": FRAME + 7,
    "attempts/": FRAME + 4,
    "system/": FRAME + 5,
    "provenance/": FRAME,
    "notes/": FRAME,
    "recipe/": FRAME + 3,
}


@pytest.mark.parametrize("tab", TABS)
def test_a_tab_costs_few_queries_however_much_there_is(page, finished, tab, django_assert_max_num_queries):
    make_huge(finished, count=300)
    page(finished, tab)
    with django_assert_max_num_queries(BUDGETS[tab]):
        page(finished, tab)


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_each_tab_has_a_title_a_heading_and_says_where_it_is(page, finished, tab):
    text = page(finished, tab)
    names = {address.removeprefix("runs:"): (name, label) for name, label, address in ALL_TABS}
    name, label = names[tab.strip("/") or "detail"]
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    assert title
    assert title[1].startswith(f"Run {finished.pk}" if name == "overview" else f"{label} · Run {finished.pk}")
    assert text.count("<h1") == 1
    assert f'data-tab="{name}" aria-current="page"' in text
    assert text.count('aria-current="page"') == 2
    assert f'id="tab-title">{label}</h2>' in text


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_what_people_and_models_wrote_is_text_on_every_tab(page, finished, tab):
    text = page(finished, tab)
    assert "<script>alert" not in text
    assert escape(WILD) in text
    assert "{{ name }}" in text


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", list(Status))
def test_every_tab_of_an_empty_run_of_any_kind_and_state_is_a_page(page, kind, status):
    run = run_in(status, kind=kind, name="W" * 300)
    for tab in EVERY_TAB:
        text = page(run, tab)
        assert "W" * 300 in text
        offered = set(re.findall(r'data-tab="(\w+)"', text))
        assert offered == {name for name, _, _ in ALL_TABS if kind in KINDS_OF.get(name, Kind)}


@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("", "A draft: start it"),
        ("evaluations/", "python manage.py evaluate"),
        ("logs/", "Not started yet, so there is no log."),
        ("checkpoints/", "No checkpoint yet."),
        ("attempts/", "Not started yet, so there is no attempt."),
        ("system/", "No measurement of the machine yet."),
        ("notes/", "Nobody has written anything"),
        ("recipe/", "so it has no recipe"),
    ],
)
def test_a_tab_with_nothing_says_what_will_come(page, tab, words):
    assert words in page(make_run(), tab)


def test_a_run_without_provenance_says_when_it_comes(page):
    run = make_run()
    assert "Recorded when the run starts" in page(run, "provenance/")


@pytest.mark.long
def test_ten_thousand_of_everything_come_in_pages(page, finished):
    make_huge(finished)
    for tab in EVERY_TAB:
        for query in ({}, {"page": "7", "events": "3", "gone": "1"}, {"page": "x", "events": "-1"}):
            assert len(page(finished, tab, **query).encode()) < 200_000, tab


def test_pages_of_events_and_attempts_turn_by_themselves(page, finished):
    make_huge(finished, count=120)
    text = page(finished, "attempts/", page="2", events="2")
    assert "51 – 100 of 121" in text
    assert re.search(r'href="\?page=3&amp;events=2"', text)
    assert re.search(r'href="\?page=2&amp;events=3#events"', text)


def test_the_overview_leads_to_what_it_peeks_at(page, finished):
    child = make_run(kind=Kind.EVALUATE, parent=finished)
    text = page(finished)
    for fact in (
        "95 % interval", "40,040", "n = 12", "baseline", "423,040", "What it wrote at step 40",
        f'href="{child.get_absolute_url()}"', "All attempts and events", "Newest checkpoint",
        "What it shows</bdi>",
        'data-names="train/loss,eval/loss"', 'data-latest="train/loss"',
    ):  # fmt: skip
        assert fact in text, fact


def test_evaluations_say_how_they_changed_and_link_their_samples(page, finished):
    text = page(finished, "evaluations/")
    assert "+40.0 points" in text
    assert "better" in text
    assert "10 of 12" in text
    assert text.index(">40</a>") < text.index(">20</a>")
    newest = Evaluation.objects.get(step=40)
    assert f'href="/runs/{finished.pk}/samples/?evaluation={newest.pk}"' in text
    assert 'data-names="eval/loss"' in text


def test_evaluations_on_other_data_are_not_compared(page, finished):
    Evaluation.objects.filter(step=20).update(n=13)
    assert " points" not in page(finished, "evaluations/")


def test_an_evaluation_run_shows_what_it_graded(page, finished):
    grader = make_run(kind=Kind.EVALUATE, parent=finished)
    Evaluation.objects.filter(step=40).update(made_by=grader)
    text = page(grader, "evaluations/")
    assert f'of <a href="/runs/{finished.pk}/">run {finished.pk}</a>' in text
    assert f'<a href="/runs/{grader.pk}/">run {grader.pk}</a>' in page(finished, "evaluations/")


def test_the_config_is_searched_and_cut_to_what_was_changed(page, finished):
    everything = page(finished, "config/")
    assert everything.count("<tr") > 40
    found = page(finished, "config/", q="LEARNING rate")
    assert "learning_rate" in found
    assert "sequence_length</th>" not in found
    changed = page(finished, "config/", changed="1")
    assert ">steps</th>" in changed
    assert ">learning_rate</th>" not in changed
    assert "No field fits." in page(finished, "config/", q=WILD)
    assert "&quot;steps&quot;: 40" in everything


def test_checkpoints_tell_what_they_cost_and_what_became_of_them(page, finished, tmp_path):
    Checkpoint.objects.filter(step=20).update(
        removed_at="2026-01-02T03:04:05Z", removed_why="the <retention>"
    )
    (tmp_path / "40").rmdir()
    text = page(finished, "checkpoints/")
    for fact in ("0.250 s", "2.500 s", "2.0 KiB", "missing on disk", "show them"):
        assert fact in text, fact
    assert "the &lt;retention&gt;" not in text
    gone = page(finished, "checkpoints/", gone="1")
    assert "the &lt;retention&gt;" in gone
    assert "removed</span> 2026-01-02" in gone


def test_checkpoints_tell_how_they_are_exported_and_adapters_too(page, finished):
    command = f"python manage.py export_model {finished.pk} --checkpoint latest --format"
    assert f"{command} hf -o exports/run-{finished.pk}<" in page(finished, "checkpoints/")
    assert f"{command} adapter" not in page(finished, "checkpoints/")
    Run.objects.filter(pk=finished.pk).update(config={**finished.config, "method": "qlora"})
    assert f"{command} adapter -o exports/run-{finished.pk}-adapter<" in page(finished, "checkpoints/")
    Checkpoint.objects.update(removed_at="2026-01-02T03:04:05Z")
    assert "export_model" not in page(finished, "checkpoints/")


def test_what_one_may_do_to_checkpoints_follows_ones_right(client, operator, page, finished):
    assert 'name="action"' not in page(finished, "checkpoints/")
    client.force_login(operator)
    text = str(client.get(f"/runs/{finished.pk}/checkpoints/").content, "utf-8")
    for words in ("Fork from step 40", "Pin step 40", "Delete step 20"):
        assert words in text
    row = Checkpoint.objects.get(step=40)
    answer = client.post(f"/runs/{finished.pk}/checkpoints/{row.pk}/", {"action": "pin"}, follow=True)
    assert answer.redirect_chain[-1][0] == f"/runs/{finished.pk}/checkpoints/"


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_a_viewer_gets_no_form_that_changes_anything(page, tab):
    for make in (running_run, failed_run, written_run):
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', page(make(), tab))
        assert forms == ["/accounts/logout/"]
        release_device()


def test_the_log_tab_searches_and_shows_lines_by_number(page, finished):
    text = page(finished, "logs/", q="step 39")
    assert "11 lines with" in text
    assert "<mark>step 39</mark>0" in text
    assert 'href="?attempt=1&amp;line=390#L390"' in text
    text = page(finished, "logs/", q=WILD[:20])
    assert "<script>alert" not in text
    assert "No line holds" in page(finished, "logs/", q="nothing of the sort")
    assert "Search for one line" in page(finished, "logs/", q="x" * 300)
    lines = page(finished, "logs/", attempt="1", line="200")
    assert 'id="L200"' in lines
    assert "step 200 loss" in lines
    assert "data-log-text" not in lines
    assert 'id="L401"' in page(finished, "logs/", end="1")
    assert "The log has no such place" in page(finished, "logs/", byte="999999999")
    for nonsense in ("x", "-1", "9" * 40, "٣"):
        assert "data-log-text" in page(finished, "logs/", line=nonsense, byte=nonsense, attempt=nonsense)


def test_a_log_that_is_not_there_says_so(page):
    run = failed_run()
    assert "wrote no log, or its log lies on another host" in page(run, "logs/", end="1")


def test_provenance_is_laid_beside_that_of_another_run(page, finished):
    other = make_run()
    Run.objects.filter(pk=other.pk).update(provenance={"threads": 8, "git_commit": "a" * 40})
    text = page(finished, "provenance/", **{"with": str(other.pk)})
    differences = text.split('id="differences"')[1].split("</section>")[0]
    assert "threads" in differences
    assert "git_commit" not in differences
    assert "There is no run 4711." in page(finished, "provenance/", **{"with": "4711"})
    for nonsense in ("x", "9" * 30, "٣", WILD):
        assert 'id="differences"' not in page(finished, "provenance/", **{"with": nonsense})
    assert "2 installed packages" in text
    assert 'class="diff-added"' in text
    assert 'class="diff-place"' in text


def test_the_recipe_is_shown_with_the_commands_that_repeat_it(client, operator, page, finished):
    text = page(finished, "recipe/")
    assert "recipe_version = 1" in text
    assert "manage.py seed_dataset --dataset golden-v2" in text
    assert f"manage.py train --recipe run-{finished.pk}.toml" in text
    assert f"manage.py reproduce {finished.pk}" in text
    assert f'href="/api/training/runs/{finished.pk}/recipe"' in text
    assert "Reproduce</button>" not in text
    client.force_login(operator)
    assert "Reproduce</button>" in str(client.get(f"/runs/{finished.pk}/recipe/").content, "utf-8")


def test_a_run_without_a_recipe_says_why(page, finished):
    fork = forked_run(finished)
    assert "which no recipe can hold" in page(fork, "recipe/")
    assert not Reproduction.objects.exists()


def test_a_fork_names_its_inexact_start_on_every_tab(page, finished):
    fork = forked_run(finished)
    for tab in EVERY_TAB:
        assert "Not an exact continuation (attempt 2): micro_batch 4 → 8" in page(fork, tab)
    assert "Show 1 overtaken evaluation" in page(fork, "evaluations/")
    assert 'class="overtaken"' in page(fork, "evaluations/", overtaken="1")


def test_old_addresses_lead_to_the_tab_that_shows_what_they_asked_for(client, viewer, finished):
    client.force_login(viewer)
    answer = client.get(f"/runs/{finished.pk}/", {"overtaken": "1"})
    assert answer["Location"] == f"/runs/{finished.pk}/evaluations/?overtaken=1"


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_a_stranger_and_a_person_without_a_role_see_no_tab(client, make_user, tab):
    run = make_run()
    assert client.get(f"/runs/{run.pk}/{tab}").status_code == 302
    client.force_login(make_user("nobody"))
    assert client.get(f"/runs/{run.pk}/{tab}").status_code == 403


@pytest.mark.parametrize("tab", EVERY_TAB)
def test_a_run_that_is_not_there_has_no_tab(client, viewer, tab):
    client.force_login(viewer)
    for number in ("4711", "9" * 18, "9" * 19, "9" * 40):
        assert client.get(f"/runs/{number}/{tab}").status_code == 404


def test_a_generation_has_tabs_that_make_sense(page):
    run = written_run()
    text = page(run)
    assert "Text 2 of 2" in text
    assert LONG in text
    assert "data-chart" not in text
    assert 'data-tab="checkpoints"' not in text
    assert "temperature" in page(run, "config/")


def test_nothing_of_another_run_is_shown(page, finished):
    other = fresh(make_run())
    AuditEvent.objects.filter(target_id=str(other.pk)).delete()
    assert "Nothing has happened to it yet." in page(other, "attempts/")
    assert Attempt.objects.filter(run=finished).exists()
