"""The page of a run in chromium: every tab fits every window, works by keyboard, and its head lives."""

import re

import pytest

from runs.ingest import ingest_attempt
from runs.models import Attempt, Run
from runs.pages.tests.support import (
    EVERY_TAB,
    failed_run,
    finished_run,
    forked_run,
    make_huge,
    running_run,
    written_run,
)
from runs.tests.support import finish, fresh, journal, make_run, release_device
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def finished(tmp_path):
    return finished_run(tmp_path)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "laptop", "wide"])
@pytest.mark.long
def test_every_tab_fits_its_window(site, operator, finished, width, theme):
    page = site.open("/runs/", user=operator, theme=theme, width=width)

    def look(run: Run, tabs: tuple[str, ...], name: str) -> None:
        for tab in tabs:
            page.goto(f"/runs/{run.pk}/{tab}")
            site.settle(page)
            assert fits(page), f"{name} {tab}"
            shown = page.locator("[data-run-tabs] [aria-current]")
            assert shown.evaluate(
                "tab => { const box = tab.parentElement.getBoundingClientRect();"
                " const one = tab.getBoundingClientRect();"
                " return one.left >= box.left - 1 && one.right <= box.right + 1 }"
            ), f"{name} {tab}: the current tab is out of sight"
            shoot(page, f"page-{name}-{re.sub(r'\W+', '-', tab).strip('-') or 'overview'}-{width}-{theme}")

    look(finished, (*EVERY_TAB, "logs/?q=step+39", "logs/?line=200", "notes/?edit=1"), "full")
    look(make_run(), EVERY_TAB, "empty")
    look(forked_run(finished), ("", "attempts/", "evaluations/"), "fork")
    look(written_run(), ("", "config/"), "generation")
    release_device()
    look(failed_run(), ("", "logs/", "attempts/"), "failed")
    release_device()
    look(running_run(), ("", "system/"), "running")


def test_ten_thousand_of_everything_fit_a_phone(site, operator, finished):
    make_huge(finished)
    page = site.open("/runs/", user=operator, width="phone")
    for tab in ("", "evaluations/", "checkpoints/?gone=1", "attempts/"):
        page.goto(f"/runs/{finished.pk}/{tab}")
        site.settle(page)
        assert fits(page), tab
    page.get_by_role("navigation", name="Pages of events").get_by_role("link", name="Next").click()
    page.get_by_text("51 – 100 of 10004").or_(
        page.get_by_text(re.compile(r"51 – 100 of 100\d\d"))
    ).first.wait_for()


def test_the_head_tells_how_long_it_takes_and_goes_on_telling(site, viewer):
    run = running_run()
    page = site.open(f"/runs/{run.pk}/", user=viewer)
    left = page.locator("[data-time-left]")
    assert left.inner_text() == "less than a minute left at 100 ms a step"
    assert page.inner_text("[data-progress-percent]") == "40 %"
    site.settle(page)
    attempt = Attempt.objects.get()
    journal(attempt).metrics(50, {"train/loss": 0.1})
    journal(attempt).phase("training", 50)
    ingest_attempt(attempt)
    page.locator("[data-progress-percent]", has_text="50 %").wait_for()
    assert left.inner_text() == "less than a minute left at 100 ms a step"


def test_the_tabs_are_walked_by_keyboard(site, viewer, finished):
    page = site.open(f"/runs/{finished.pk}/", user=viewer)
    tabs = page.locator("[data-run-tabs] a")
    tabs.first.focus()
    for name in ("charts", "samples", "evaluations"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.tab") == name
    page.keyboard.press("Enter")
    page.wait_for_url("**/evaluations/")
    assert page.title().startswith(f"Evaluations · Run {finished.pk}")
    page.go_back()
    page.wait_for_url(f"**/runs/{finished.pk}/")


@pytest.mark.parametrize(
    ("fragment", "tab"),
    [("checkpoints", "checkpoints/"), ("log", "logs/"), ("events", "attempts/"), ("config", "config/")],
)
def test_a_fragment_of_the_long_page_leads_to_its_tab(site, viewer, finished, fragment, tab):
    page = site.open(f"/runs/{finished.pk}/#{fragment}", user=viewer)
    page.wait_for_url(f"**/runs/{finished.pk}/{tab}")


def test_the_log_is_searched_and_a_line_has_an_address(site, viewer, finished):
    page = site.open(f"/runs/{finished.pk}/logs/", user=viewer)
    page.get_by_label("Search in the whole log").fill("step 123 ")
    page.keyboard.press("Enter")
    page.get_by_text("1 line with").wait_for()
    assert page.locator("mark").inner_text() == "step 123 "
    page.get_by_role("link", name="Line 123", exact=True).click()
    page.wait_for_url("**/logs/?attempt=1&line=123#L123")
    line = page.locator("#L123")
    assert "step 123 loss" in line.inner_text()
    box = line.bounding_box()
    assert box
    assert 0 <= box["y"] <= 900
    page.get_by_role("link", name="Back to the live log").click()
    page.locator("[data-log-text]").get_by_text("step 399").wait_for()


def test_the_log_follows_the_attempt_of_its_address(site, viewer, finished):
    Run.objects.filter(pk=finished.pk).update(attempt=2)
    Attempt.objects.create(run=finished, number=2, host="h", device="cpu:0", status="failed")
    page = site.open(f"/runs/{finished.pk}/logs/?attempt=1", user=viewer)
    page.locator("[data-log-text]").get_by_text("step 399").wait_for()
    page.get_by_label("Attempt", exact=True).select_option("2")
    page.locator("[data-log-text][data-empty]").wait_for()
    assert page.locator("[data-log-numbered]").get_attribute("href") == "?attempt=2&end=1"


def test_notes_are_written_by_an_operator_and_a_second_writer_is_told(site, operator, finished):
    page = site.open(f"/runs/{finished.pk}/notes/", user=operator)
    assert page.locator(".notes h3").inner_text() == "What it shows"
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_role("textbox", name="Notes").fill("from *here*")
    Run.objects.update(notes="from elsewhere")
    # The refusal is a page of its own with status 409, which the console names.
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Somebody changed the notes").wait_for()
    assert page.get_by_role("textbox", name="Notes").input_value() == "from *here*"
    assert page.get_by_role("region", name="What stands there now").inner_text() == "from elsewhere"
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The notes are saved.").wait_for()
    assert page.locator(".notes em").inner_text() == "here"
    assert fresh(finished).notes == "from *here*"
    site.complaints[:] = [one for one in site.complaints if "409" not in one]


def test_notes_being_written_outlast_the_end_of_the_run(site, operator):
    run = running_run()
    page = site.open(f"/runs/{run.pk}/notes/", user=operator)
    page.get_by_role("textbox", name="Notes").fill("half a thought")
    page.evaluate("window.stayed = true")
    finish(Attempt.objects.get())
    # Longer than the page takes to look again.
    page.wait_for_timeout(5000)
    assert page.evaluate("window.stayed")
    assert page.get_by_role("textbox", name="Notes").input_value() == "half a thought"


def test_the_config_and_the_recipe_are_copied(site, viewer, finished):
    page = site.open(f"/runs/{finished.pk}/config/", user=viewer)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as JSON").click()
    page.get_by_text("Copied").wait_for()
    assert '"steps": 40' in page.evaluate("navigator.clipboard.readText()")
    page.goto(f"/runs/{finished.pk}/recipe/")
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Copied").wait_for()
    assert "recipe_version = 1" in page.evaluate("navigator.clipboard.readText()")
