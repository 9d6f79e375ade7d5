"""Run control in chromium: the queue, the workers, and the log as it grows."""

import pytest

from runs.models import Attempt, Run
from runs.queueing import waiting_runs
from runs.states import Status
from runs.tests.control_support import hold, make_device, make_worker, queued
from runs.tests.support import finish, fresh, make_run, run_in
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "WithoutAnySpace" * 12
COLOURS = (
    "\x1b[1mbold\x1b[0m \x1b[31mred\x1b[39m \x1b[92mgreen\x1b[0m "
    "\x1b[38;5;196m256\x1b[0m \x1b[44mground\x1b[0m "
    "\x1b[2J\x1b]0;title\x07<b>text</b>\n"
)


@pytest.fixture
def running():
    run = run_in(Status.RUNNING, name=LONG)
    run.attempt_directory(1).mkdir(parents=True, exist_ok=True)
    log_of(run).write_text("first\n" + COLOURS)
    return run


def log_of(run: Run):
    return run.attempt_directory(1) / "log.txt"


def append(run: Run, text: str) -> None:
    with log_of(run).open("a", newline="") as file:
        file.write(text)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "laptop"])
@pytest.mark.long
def test_the_pages_of_run_control_fit_their_window(site, administrator, running, theme, width):
    make_worker("gone", age=900)
    make_worker(clusters=[{"name": f"runs@{LONG[:60]}/cpu:0", "pid": 1, "device": "cpu:0", "starts": 2}])
    foreign = {"pid": 99, "name": "/usr/bin/other", "memory_bytes": 2**31, "run_id": None}
    hold(make_device(kind="gpu", name="A card", memory_bytes=2**34, free_bytes=2**30, processes=[foreign]))
    waiting = queued(name=LONG)
    queued()
    page = site.open("/runs/", user=administrator, theme=theme, width=width)
    paths = ["/runs/", "/runs/queue/", "/workers/", f"/runs/{waiting.pk}/", f"/runs/{running.pk}/logs/"]
    for path in paths:
        page.goto(path)
        site.settle(page)
        assert fits(page), path
        shoot(page, f"control{path.replace('/', '-')}{width}-{theme}")
    page.get_by_role("button", name="Mark as stopped…").click()
    site.settle(page)
    assert fits(page)
    shoot(page, f"control-confirm-{width}-{theme}")


def test_the_log_is_shown_with_its_colours_and_never_as_markup(site, viewer, running):
    page = site.open(f"/runs/{running.pk}/logs/", user=viewer)
    view = page.locator("[data-log-text]")
    page.get_by_text("<b>text</b>").wait_for()
    assert view.locator("b").count() == 0
    assert view.locator(".ansi-bold").inner_text() == "bold"
    assert view.locator(".ansi-1").inner_text() == "red"
    assert view.locator(".ansi-10").inner_text() == "green"
    assert view.locator(".ansi-9").inner_text() == "256"
    assert view.locator(".ansi-on-4").inner_text() == "ground"
    assert "\x1b" not in view.inner_text()
    assert "title" not in view.inner_text()


def test_a_log_that_grows_is_followed_to_its_end(site, viewer, running):
    page = site.open(f"/runs/{running.pk}/logs/", user=viewer)
    view = page.locator("[data-log-text]")
    view.get_by_text("first").wait_for()
    # A sequence cut in two pieces, and a line that is written again and again.
    append(running, "cut \x1b[3")
    view.get_by_text("cut").wait_for()
    append(running, "5mwhole\x1b[0m\n10 %\r50 %\r100 %\nlast line\n")
    view.get_by_text("last line").wait_for()
    assert view.locator(".ansi-5").inner_text() == "whole"
    assert "50 %" not in view.inner_text()
    append(running, "".join(f"line {number}\n" for number in range(6000)))
    view.get_by_text("line 5999").wait_for()
    assert view.locator("> .log-line").count() <= 5000
    assert view.evaluate("view => view.scrollHeight - view.scrollTop - view.clientHeight < 40")
    page.get_by_label("Follow").uncheck()
    view.evaluate("view => { view.scrollTop = 0; }")
    append(running, "after\n")
    view.get_by_text("after").wait_for(state="attached")
    assert view.evaluate("view => view.scrollTop") == 0


def test_the_log_of_an_earlier_attempt_is_chosen(site, viewer, running):
    finish(Attempt.objects.get(), Status.FAILED)
    Run.objects.filter(pk=running.pk).update(attempt=2)
    Attempt.objects.create(run=running, number=2, host="h", device="cpu:0", status=Status.FAILED)
    page = site.open(f"/runs/{running.pk}/logs/", user=viewer)
    view = page.locator("[data-log-text]")
    page.locator("[data-log-text][data-empty]").wait_for()
    page.get_by_label("Attempt", exact=True).select_option("1")
    view.get_by_text("first").wait_for()
    assert page.locator("[data-log-download]").get_attribute("href").endswith("/log/1/")


def test_an_operator_orders_the_queue_on_its_page(site, operator):
    first, second = queued(), queued()
    page = site.open("/runs/queue/", user=operator)
    page.get_by_label(f"Move run {second.pk} up").click()
    page.get_by_text(f"Run {second.pk} is number 1 in the queue.").wait_for()
    page.get_by_label(f"Priority of run {first.pk}", exact=True).fill("7")
    page.get_by_label(f"Set the priority of run {first.pk}").click()
    page.get_by_text(f"Run {first.pk} has priority 7.").wait_for()
    assert list(waiting_runs()) == [first, second]


def test_an_admin_deletes_chosen_runs_from_the_list(site, administrator):
    draft, kept = make_run(), make_run()
    page = site.open("/runs/", user=administrator)
    page.get_by_label(f"Choose run {draft.pk}", exact=True).check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_text("gone for good").wait_for()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text(f"Run {draft.pk} is deleted").wait_for()
    assert Run.objects.get() == kept


def test_a_waiting_run_says_anew_why_it_waits(site, viewer):
    run = queued()
    page = site.open(f"/runs/{run.pk}/", user=viewer)
    page.get_by_text("no worker is running").wait_for()
    make_worker()
    hold(make_device())
    page.get_by_text("is busy with run").wait_for()
    Run.objects.filter(pk=run.pk).update(status=Status.STARTING)
    page.locator(".badge-starting").wait_for()
    page.locator("[data-waiting]").wait_for(state="detached")
    assert fresh(run).status == Status.STARTING
