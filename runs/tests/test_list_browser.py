"""The list of runs in chromium: every state fits its window, keys and choices work, rows stay in place."""

import pytest

from runs.listing.organising import archive, change_tags, tags_of
from runs.models import Attempt, Run
from runs.states import Kind, Status
from runs.tests.control_support import queued
from runs.tests.support import finish, fresh, make_dataset, make_run, release_device, run_in
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WILD = [
    "<img src=x onerror=alert(1)>",
    "x" * 300,
    "\N{RIGHT-TO-LEFT OVERRIDE}" + "שלום עולם " * 20,
    "🦜" * 100,
]


@pytest.fixture
def many():
    """Runs in every state, with names of every kind."""
    data = make_dataset()
    for status in Status:
        run = run_in(status, name=f"in {status}", dataset=data)
        release_device()
        Run.objects.filter(pk=run.pk).update(
            last_loss=0.5, tokens_per_second=12345.0, step_seconds=60.0, step=4, checkpoint_bytes=2**31
        )
    for name in WILD:
        change_tags(
            make_run(name=name, dataset=data), add=["baseline", "a-tag-of-forty-letters-that-says-too-muc"]
        )
    archive(make_run(name="put away"))
    make_run(kind=Kind.BENCH, name="bench")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "laptop", "wide"])
@pytest.mark.long
def test_every_state_of_the_list_fits_its_window(site, administrator, many, width, theme):
    page = site.open("/runs/", user=administrator, theme=theme, width=width)
    paths = {
        "all": "/runs/?q=",
        "grouped": "/runs/?q=&group=status&sort=-loss&columns=status,size,owner,lr,tags",
        "no-match": f"/runs/?q=name:{'x' * 200}y",
        "wrong": f"/runs/?q=stauts:{'x' * 200}",
        "archived": "/runs/?q=archived:yes",
    }
    for name, path in paths.items():
        page.goto(path)
        site.settle(page)
        assert fits(page), path
        shoot(page, f"list-{name}-{width}-{theme}")
    page.goto("/runs/?q=")
    for tool in ("help", "columns", "view"):
        page.locator(f"[data-tool={tool}] > summary").click()
        site.settle(page)
        assert fits(page), tool
    page.locator("[data-choose]").first.check()
    shoot(page, f"list-tools-{width}-{theme}")
    assert fits(page)


def test_the_keyboard_searches_walks_chooses_and_opens(site, viewer):
    first, second = make_run(name="one"), make_run(name="two")
    page = site.open("/runs/", user=viewer)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("status:draft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/?q=status*")
    assert page.locator("[data-count]").inner_text() == "2 runs"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.get_by_label(f"Choose run {first.pk} to compare").is_checked()
    page.keyboard.press("k")
    page.keyboard.press("Space")
    assert page.get_by_label(f"Choose run {second.pk} to compare").is_checked()
    assert page.locator("[data-chosen-count]").inner_text() == "2 runs chosen"
    page.keyboard.press("o")
    page.wait_for_url(f"**/runs/{second.pk}/")


def test_a_range_is_chosen_with_shift_and_tagged(site, operator):
    runs = [make_run() for _ in range(5)]
    page = site.open("/runs/", user=operator)
    assert page.get_by_role("button", name="Archive", exact=True).count() == 0
    page.get_by_label(f"Choose run {runs[4].pk}", exact=True).click()
    page.get_by_label(f"Choose run {runs[1].pk}", exact=True).click(modifiers=["Shift"])
    assert page.locator("[data-chosen-count]").inner_text() == "4 runs chosen"
    page.get_by_role("textbox", name="Tags").fill("sweep")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_text(f"Run {runs[1].pk} has the tags sweep.").wait_for()
    assert [tags_of(fresh(run)) for run in runs] == [[], *[["sweep"]] * 4]
    page.get_by_label("Choose all runs of this page").check()
    assert page.locator("[data-chosen-count]").inner_text() == "5 runs chosen"
    page.get_by_role("button", name="Archive", exact=True).click()
    page.get_by_text("No run fits this filter").wait_for()


def test_a_view_is_saved_and_found_again(site, viewer):
    make_run(name="alpha")
    page = site.open("/runs/?q=alpha&sort=-loss", user=viewer)
    page.get_by_text("Save view").click()
    page.get_by_role("textbox", name="Save this list as").fill("Alphas")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The view Alphas is saved.").wait_for()
    page.goto("/runs/?q=")
    page.get_by_role("link", name="Alphas").click()
    page.wait_for_url("**view=*")
    assert page.input_value("#q") == "alpha"


def test_columns_are_chosen_on_the_page(site, viewer):
    make_run(config={"learning_rate": 0.0042})
    page = site.open("/runs/", user=viewer)
    page.get_by_text("Columns, order").click()
    page.get_by_label("Owner", exact=True).check()
    page.get_by_label("Tags", exact=True).uncheck()
    page.get_by_label("A field of the config").fill("config.learning_rate")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**columns=*")
    heads = page.locator("thead th").all_inner_texts()
    assert "Owner" in heads
    assert "learning_rate" in heads
    assert "Tags" not in heads
    page.get_by_role("cell", name="0.0042").wait_for()


def test_states_change_in_place_and_new_runs_are_announced(site, viewer):
    run = run_in(Status.RUNNING, dataset=make_dataset())
    waiting = queued()
    page = site.open("/runs/", user=viewer)
    rows = page.locator("tr[data-run-id]")
    before = [row.get_attribute("data-run-id") for row in rows.all()]
    Run.objects.filter(pk=run.pk).update(
        step=7, step_seconds=600.0, last_loss=0.0421, tokens_per_second=4321.0
    )
    make_run(name="newcomer")
    row = page.locator(f'tr[data-run-id="{run.pk}"]')
    row.get_by_text("7 / 10").wait_for()
    assert "about 30 min left" in row.inner_text()
    assert "0.0421" in row.inner_text()
    assert "4,321" in row.inner_text()
    page.get_by_role("link", name="1 new run: show").wait_for()
    # Nothing has moved below the pointer.
    assert [row.get_attribute("data-run-id") for row in rows.all()] == before
    finish(Attempt.objects.get(run=run), Status.STOPPED)
    row.locator(".badge-stopped").wait_for()
    assert row.get_attribute("data-alive") == "false"
    assert waiting.pk in [int(number) for number in before]
    page.get_by_role("link", name="1 new run: show").click()
    page.get_by_text("newcomer").wait_for()
