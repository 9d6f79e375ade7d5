"""A visit by keyboard: from the list to a run, its charts, its samples and a comparison, no mouse at all."""

import pytest

from runs.charts.tests.pages import CHART, shown, zoomed
from runs.charts.tests.support import big_run
from runs.tests.samples_support import graded, training
from runs.tests.support import fresh, release_device, write_points

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def tab_to(page, test, most=60):
    """Press Tab until ``test``, about the focused element ``one``, holds; every stop must show itself."""
    look = f"""() => {{
      const one = document.activeElement;
      const seen = getComputedStyle(one).outlineStyle !== "none";
      return [Boolean({test}), seen, one.outerHTML.slice(0, 120)];
    }}"""
    for _ in range(most):
        page.keyboard.press("Tab")
        there, seen, markup = page.evaluate(look)
        assert seen, f"the focus is not to be seen on {markup}"
        if there:
            return
    raise AssertionError(f"{most} times Tab do not lead to {test}")


@pytest.fixture
def curved(tmp_path):
    run = big_run(tmp_path)
    release_device()
    return fresh(run)


@pytest.fixture
def judged():
    run = training([graded("a", "1"), graded("b")], [graded("a"), graded("b", "9")], name="judged")
    write_points(run, {step: 1.0 / step for step in range(1, 21)})
    return run


def test_from_the_list_to_the_charts_and_into_a_curve(site, viewer, curved):
    page = site.open("/", user=viewer)
    tab_to(page, "one.textContent === 'Runs'")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/")
    site.settle(page)
    page.keyboard.press("/")
    page.keyboard.type("big")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=big*")
    site.settle(page)
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(f"**/runs/{curved.pk}/")
    tab_to(page, "one.dataset.tab === 'charts'")
    page.keyboard.press("Enter")
    page.wait_for_url("**/charts/")
    page.wait_for_function(f"() => {CHART}?.data.datasets[0]?.data.length > 0")
    site.settle(page)
    everything = shown(page)
    tab_to(page, "one.dataset.names?.startsWith('train/loss')")
    page.keyboard.press("ArrowLeft")
    said = page.locator("figure p[role=status]").first
    assert "step" in said.inner_text()
    for _ in range(4):
        low, high = shown(page)
        page.keyboard.press("+")
        # A view is drawn with the next frame, and the next key zooms what is drawn.
        page.wait_for_function(f"() => {CHART}.scales.x.max - {CHART}.scales.x.min < {(high - low) * 0.9}")
    zoomed(page, (everything[1] - everything[0]) / 10)
    near = shown(page)
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function(f"() => {CHART}.scales.x.min < {near[0]}")
    page.keyboard.press("-")
    page.keyboard.press("0")
    page.wait_for_function(
        f"() => {CHART}.scales.x.max - {CHART}.scales.x.min >= {everything[1] - everything[0]}"
    )
    assert shown(page) == everything


def test_from_the_list_to_the_samples_and_a_comparison(site, viewer, curved, judged):
    page = site.open("/runs/", user=viewer)
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(f"**/runs/{judged.pk}/")
    site.settle(page)
    tab_to(page, "one.dataset.tab === 'samples'")
    page.keyboard.press("Enter")
    page.locator("[data-place]", has_text="Prompt 1 of 2 at step 20").wait_for()
    # The text stands there before the script that listens to keys.
    site.settle(page)
    page.keyboard.press("j")
    page.locator("[data-place]", has_text="Prompt 2 of 2 at step 20").wait_for()
    page.keyboard.press("[")
    page.locator("[data-place]", has_text="Prompt 2 of 2 at step 10").wait_for()
    page.keyboard.press("k")
    page.locator("[data-place]", has_text="Prompt 1 of 2 at step 10").wait_for()
    tab_to(page, "one.textContent === 'Runs'", 90)
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/")
    site.settle(page)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    tab_to(page, "one.matches('[data-compare-button]')", 90)
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/compare/?ids=*")
    site.settle(page)
    tab_to(page, f"one.getAttribute('aria-label') === 'Make run {curved.pk} the baseline'")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**baseline={curved.pk}*")
    site.settle(page)
    tab_to(page, "one.matches('canvas')")
    page.keyboard.press("ArrowRight")
    assert page.locator("figure p[role=status]").first.inner_text()
