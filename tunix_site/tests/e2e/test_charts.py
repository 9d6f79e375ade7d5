"""The chart module in a real browser: every number can be reached, and nothing is hidden."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DRAW = """async (series) => {
  const { lineChart } = await import("/static/js/charts.js");
  document.querySelector("main").innerHTML = '<div class="chart-box"><canvas></canvas></div>';
  window.handle = lineChart(document.querySelector("canvas"), { title: "Loss", unit: "nats", series });
}"""

SERIES = {
    "name": "train/loss",
    "unit": "nats",
    "step": [0, 10, 20],
    "value": [3.0, 2.123456789, None],
    "min": [3.0, 0.5, None],
    "max": [3.0, 9.75, None],
    "count": [1, 10, 1],
    "total_points": 12,
    "shown": 3,
    "non_finite": [20],
}


@pytest.fixture
def page(site, viewer):
    opened = site.open("/datasets/", user=viewer)
    opened.evaluate(DRAW, [SERIES])
    return opened


def test_the_note_says_how_much_is_shown_and_what_is_not_finite(page):
    note = page.inner_text(".chart-note")
    assert "3 of 12 points" in note
    assert "least and greatest" in note
    assert "step 20" in note


def test_the_table_holds_every_number_exactly(page):
    page.get_by_text("Numbers as a table").click()
    # The table is filled when the browser tells that it was opened, a moment after the click.
    page.locator(".chart-table tbody tr").nth(2).wait_for()
    rows = [row.inner_text().split("\t") for row in page.locator(".chart-table tbody tr").all()]
    assert rows == [
        ["20", "train/loss", "not finite", "", "", "1"],
        ["10", "train/loss", "2.123456789", "0.5", "9.75", "10"],
        ["0", "train/loss", "3", "3", "3", "1"],
    ]


def test_later_points_are_appended_and_overtaken_ones_give_way(page):
    page.evaluate(
        """() => window.handle.update([{name: "train/loss", step: [20, 30], value: [1.5, 1.25],
        min: [1.5, 1.25], max: [1.5, 1.25], count: [1, 1], total_points: 14, shown: 2}])"""
    )
    assert page.evaluate("window.handle.chart.data.datasets[0].data.map((point) => [point.x, point.y])") == [
        [0, 3],
        [10, 2.123456789],
        [20, 1.5],
        [30, 1.25],
    ]
    note = page.inner_text(".chart-note")
    assert "4 of 14 points" in note
    assert "not finite" not in note


def test_the_axis_can_be_logarithmic(page):
    button = page.get_by_role("button", name="Log scale")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate("window.handle.chart.scales.y.type") == "logarithmic"


def test_the_arrow_keys_walk_from_point_to_point(page):
    page.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("window.handle.chart.tooltip.getActiveElements().map((one) => one.index)") == [1]
    lines = page.evaluate("window.handle.chart.tooltip.body.flatMap((part) => part.lines)")
    assert lines == ["train/loss: 2.123456789 nats", "least 0.5, greatest 9.75 of 10 points"]


def test_the_colours_follow_the_theme(page):
    colour = "window.handle.chart.data.datasets[0].borderColor"
    before = page.evaluate(colour)
    page.locator("[data-theme-switch]").click()
    page.locator("[data-theme-switch]").click()
    assert page.evaluate(colour) != before
