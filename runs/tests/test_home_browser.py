"""The first page in chromium: every state at every width, live progress, what it says when nobody answers."""

import pytest
from django.utils import timezone

from runs.ingest import ingest_attempt
from runs.models import Run
from runs.states import Status
from runs.tests.control_support import hold, make_device, make_worker, queued
from runs.tests.support import (
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    release_device,
    run_in,
    start,
)
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = ["phone", "laptop", "wide"]
THEMES = ["light", "dark"]
LONG = "WithoutAnySpace" * 20
WILD = "<b>bold</b> \N{RIGHT-TO-LEFT OVERRIDE}שלום עולם 🦜🦜 " + "word " * 50


def good_result(name):
    attempt = start(make_run(dataset=make_dataset(), name=name))
    journal(attempt).evaluation(evaluation_report(10, final=True))
    ingest_attempt(attempt)
    finish(attempt)
    release_device()


def failure(name, reason):
    run = run_in(Status.FAILED, name=name)
    Run.objects.filter(pk=run.pk).update(reason=reason, finished_at=timezone.now())
    release_device()
    return fresh(run)


def fill(*, name="", reason="out of memory: 9.1 GiB wanted, 7.9 GiB free"):
    """A site at work: one run on a GPU, some that wait, results, a card that others use."""
    good_result(name or "chain, 2 layers")
    failure(name or "chain, too large", reason)
    make_worker(name[:60] or "workstation")
    host = name[:60] or "workstation"
    gpu = make_device(
        host,
        "gpu",
        name=name[:200] or "NVIDIA H100 80GB HBM3",
        memory_bytes=80 << 30,
        free_bytes=20 << 30,
        utilisation=0.97,
        processes=[{"pid": 1, "name": "python", "run_id": None, "memory_bytes": 1 << 30}],
    )
    make_device(host, memory_bytes=32 << 30, free_bytes=12 << 30, name="AMD EPYC 9654")
    run = hold(gpu, step=420, steps=1500, seconds=2.5)
    Run.objects.filter(pk=run.pk).update(
        phase="training", name=name or "chain, 4 layers", heartbeat_at=timezone.now()
    )
    for number in range(3):
        queued(name=name or f"sweep {number}", priority=number)
    return fresh(run)


def seen(site, user, name, *, width, theme):
    page = site.open("/", user=user, theme=theme, width=width)
    site.settle(page)
    shoot(page, f"home-{name}-{theme}-{width}")
    assert fits(page)
    return page


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_an_empty_installation_fits(site, operator, width, theme):
    page = seen(site, operator, "empty", width=width, theme=theme)
    assert page.locator('[aria-current="step"] code').inner_text().endswith("seed_dataset --dataset chain-v1")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_a_site_at_work_fits(site, viewer, width, theme):
    run = fill()
    page = seen(site, viewer, "data", width=width, theme=theme)
    assert "about 45 min left" in page.locator(f'[data-running="{run.pk}"]').inner_text()
    assert page.locator("text=make worker").count() == 0


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [LONG, WILD], ids=["long", "wild"])
@pytest.mark.long
def test_huge_names_and_reasons_fit(site, operator, width, theme, name):
    fill(name=name[:300], reason=LONG)
    page = seen(site, operator, f"huge-{name[:3].strip('<>')}", width=width, theme=theme)
    assert page.locator("main b").count() == 0


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_nothing_but_failures_and_no_worker_fits(site, operator, width, theme):
    for number in range(3):
        failure(
            f"attempt {number}", "loss was not finite at step 12 (train/loss = nan); lower the learning rate"
        )
    queued(dataset=make_dataset())
    page = seen(site, operator, "failed", width=width, theme=theme)
    assert page.locator(".home-devices .notice-warning").is_visible()


def test_a_person_without_a_role_gets_a_page_that_fits(site, make_user):
    page = site.open("/", user=make_user("newcomer"), width="phone")
    shoot(page, "home-no-role")
    assert fits(page)
    assert page.locator("h1").inner_text() == "Your account has no role yet"
    # The browser reports the status of the page itself.
    site.complaints[:] = [text for text in site.complaints if "403" not in text]


def test_progress_moves_by_itself_and_what_ends_comes_to_the_results(site, operator):
    run = fill()
    page = site.open("/", user=operator)
    row = page.locator(f'[data-running="{run.pk}"]')
    Run.objects.filter(pk=run.pk).update(step=777, phase="evaluating")
    row.locator('progress[value="777"]').wait_for()
    assert "evaluating" in row.inner_text()
    link = page.locator("a", has_text="The queue").or_(page.locator("a", has_text="Order the queue"))
    link.focus()
    release_device()
    Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, finished_at=timezone.now())
    page.wait_for_selector(f'.home-results a[href="/runs/{run.pk}/"]')
    assert row.count() == 0
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/runs/queue/"


def test_a_site_that_does_not_answer_is_told_and_comes_back(site, viewer):
    page = site.open("/", user=viewer)
    notice = page.locator("[data-home-notice]")
    page.route("**/api/training/now", lambda route: route.fulfill(status=503, json={"detail": "busy"}))
    notice.wait_for(state="visible", timeout=20_000)
    assert "does not answer" in notice.inner_text()
    page.unroute("**/api/training/now")
    notice.wait_for(state="hidden", timeout=30_000)
    site.complaints[:] = [text for text in site.complaints if "503" not in text]
