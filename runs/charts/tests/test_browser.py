"""Charts in chromium: axes, smoothing, clipping, marks, and what an address keeps."""

import pytest

from runs.charts.tests.pages import CHART, LOSS, NOTE, opened, shown
from runs.charts.tests.support import big_run, live_run
from runs.tests.support import make_run, write_points
from tunix_site.tests.browser import WIDTHS, fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def big(tmp_path):
    return big_run(tmp_path)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_the_tab_fits_every_window(site, viewer, big, theme, width):
    page = opened(site, viewer, big, "?smooth=0.8&clip=1", theme=theme, width=width)
    assert fits(page)
    shoot(page, f"run-charts-{width}-{theme}")
    page.locator(".chart-help summary").click()
    page.locator(".chart-menu summary").first.click()
    assert fits(page)


def test_the_axis_is_chosen_and_its_title_and_ticks_follow(site, viewer, big):
    page = opened(site, viewer, big)
    axis = page.get_by_label("Along x")
    titles = {
        "tokens": ("tokens seen", 1000, 3_000_000),
        "epoch": ("epoch", 0.001, 3),
        "relative": ("time since the start of the run", 60, 3060),
    }
    for value, (title, least, greatest) in titles.items():
        axis.select_option(value)
        page.wait_for_function(f"() => {CHART}.options.scales.x.title.text === '{title}'")
        low, high = shown(page)
        assert low >= least
        assert high == pytest.approx(greatest, rel=0.02)
        assert f"x={value}" in page.url
    axis.select_option("wall")
    page.wait_for_function(f"() => {CHART}.options.scales.x.title.text === 'wall time (UTC)'")
    labels = page.evaluate(f"{CHART}.scales.x.ticks.map((tick) => tick.label)")
    assert labels
    assert all(len(label) in {5, 10} for label in labels), labels


def test_an_axis_that_a_run_lacks_is_disabled_with_the_reason(site, viewer):
    run = make_run()
    write_points(run, {step: 1.0 / step for step in range(1, 20)})
    page = opened(site, viewer, run, "?x=tokens")
    option = page.locator('option[value="tokens"]')
    page.locator(".chart-reason", has_text="Tokens: the run has no train/tokens_seen.").wait_for()
    assert option.is_disabled()
    # What cannot be drawn that way is drawn by step, and the page says so.
    assert page.get_by_label("Along x").input_value() == "step"
    assert shown(page) == [1, 19]


def test_smoothing_leaves_the_raw_line_faint_behind(site, viewer, big):
    page = opened(site, viewer, big)
    page.get_by_label("Smoothing, as a number").fill("0.9")
    page.wait_for_function(f"() => {CHART}.data.datasets[1].behind")
    first = page.evaluate(f"{CHART}.data.datasets.slice(0, 2).map((set) => set.data[0].y)")
    assert first[0] == pytest.approx(first[1])
    colours = page.evaluate(f"{CHART}.data.datasets.slice(0, 2).map((set) => set.borderColor)")
    assert colours[1].endswith("0.3)")
    assert "smoothed with β = 0.9" in page.inner_text(NOTE)
    assert "smooth=0.9" in page.url


def test_clipping_is_a_choice_and_counts_what_lies_outside(site, viewer, big):
    page = opened(site, viewer, big)
    assert page.evaluate(f"{CHART}.scales.y.max") >= 40
    page.get_by_label("Outliers").select_option("1")
    page.locator(NOTE, has_text="clipped to percentiles 1 to 99").wait_for()
    assert page.evaluate(f"{CHART}.scales.y.max") < 10
    outside = page.evaluate(f"{CHART}.tunix.shapes.flatMap((shape) => shape.outside).length")
    assert outside > 0
    assert f"{outside} shown points reach outside" in page.inner_text(NOTE)


def test_a_logarithmic_axis_says_what_it_cannot_hold(site, viewer):
    run = make_run()
    write_points(run, {1: 1.0, 2: 0.0, 3: -1.0, 4: 10.0})
    page = opened(site, viewer, run)
    page.get_by_role("button", name="Log scale").first.click()
    page.locator(NOTE, has_text="2 values of 0 and below have no place on a logarithmic axis").wait_for()
    assert "log=train%2Floss" in page.url


def test_marks_are_drawn_named_and_can_be_left_out(site, viewer, big):
    page = opened(site, viewer, big)
    legend = page.locator(f"figure:has({LOSS}) .chart-marks")
    page.wait_for_function(f"() => {CHART}.tunix.placed.length > 3")
    assert legend.inner_text() == "✕ 2 not finite · ▲ 2 checkpoints · ┆ 1 resume · ◆ 1 evaluation"
    page.get_by_label("▲ checkpoints").uncheck()
    page.wait_for_function(f"() => !{CHART}.tunix.placed.some((mark) => mark.kind === 'checkpoints')")
    assert "checkpoints" not in legend.inner_text()
    assert "marks=broken%2Cresumes%2Cevaluations" in page.url


def test_a_line_is_hidden_and_shown_by_its_name_in_the_legend(site, viewer, big):
    page = opened(site, viewer, big)
    button = page.get_by_role("button", name="eval/loss")
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert (
        page.evaluate(f"{CHART}.data.datasets.filter((set) => !set.hidden).map((set) => set.label)[0]")
        == "train/loss"
    )
    assert page.evaluate("document.activeElement.textContent") == "eval/loss"
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"


def test_choices_stay_in_the_address_and_in_the_browser(site, viewer, big):
    page = opened(site, viewer, big, "?smooth=0.5&keep=1#here")
    page.get_by_label("Along x").select_option("epoch")
    page.wait_for_function("() => location.search.includes('x=epoch')")
    assert "keep=1" in page.url
    assert page.url.endswith("#here")
    page.reload()
    page.wait_for_function(f"() => {CHART}?.options.scales?.x.title?.text === 'epoch'")
    assert page.get_by_label("Smoothing, as a number").input_value() == "0.5"
    # Another page of the same browser begins with the same choices, the address of a colleague with theirs.
    page.goto(f"/runs/{big.pk}/")
    page.wait_for_function(f"() => {CHART}?.options.scales?.x.title?.text === 'epoch'")
    page.goto(f"/runs/{big.pk}/?x=step")
    page.wait_for_function(f"() => {CHART}?.options.scales?.x.title?.text === 'step'")
    assert page.get_by_label("Smoothing, as a number").input_value() == "0"


def test_a_metric_is_found_by_part_of_its_name(site, viewer, big):
    page = opened(site, viewer, big)
    page.get_by_label("Find a metric").fill("ACC eval")
    assert page.locator("[data-chart-card]:visible").count() == 1
    assert page.get_by_role("heading", name="Training").is_hidden()
    assert page.inner_text("[data-chart-count]").startswith("1 of ")
    page.get_by_label("Find a metric").fill("no such thing")
    assert "no metric is called that" in page.inner_text("[data-chart-count]")
    page.get_by_label("Find a metric").fill("")
    page.get_by_role("heading", name="Training").click()
    assert page.locator(LOSS).is_hidden()


def test_the_theme_is_changed_and_every_line_follows(site, viewer, big):
    page = opened(site, viewer, big)
    colours = (
        f"[{CHART}.data.datasets[0].borderColor, {CHART}.tunix.colours.grid, {CHART}.tunix.colours.text]"
    )
    before = page.evaluate(colours)
    page.locator("[data-theme-switch]").click()
    page.locator("[data-theme-switch]").click()
    assert all(one != other for one, other in zip(page.evaluate(colours), before, strict=True))


def test_runs_over_each_other_keep_their_own_start_and_can_be_told_apart(site, viewer):
    runs = [live_run(steps=3, hours_ago=hours, alive=False)[0] for hours in (5, 1)]
    page = site.open(f"/runs/compare/?ids={runs[0].pk},{runs[1].pk}&x=relative", user=viewer)
    page.wait_for_function(f"() => {CHART}?.options.scales?.x.title?.text.startsWith('time since')")
    site.settle(page)
    page.wait_for_function(f"() => {CHART}.scales.x.max < 120")
    lines = page.evaluate(
        f"{CHART}.data.datasets.map((set) => [set.borderColor, set.data.map((point) => Math.round(point.x))])"
    )
    assert lines[0][1] == lines[1][1] == [60, 61, 62]
    assert lines[0][0] != lines[1][0]


def test_of_twenty_lines_the_nearest_are_told(site, viewer):
    page = site.open("/datasets/", user=viewer)
    page.evaluate(
        """async () => {
          const { lineChart } = await import("/static/js/charts.js");
          document.querySelector("main").innerHTML = '<div class="chart-box"><canvas></canvas></div>';
          const series = [...Array(20).keys()].map((id) => (
            { name: "train/loss", run_id: id, label: `run ${id}`, unit: "", step: [0, 1], value: [id, id] }));
          window.line = lineChart(document.querySelector("canvas"), { title: "Loss", series });
        }"""
    )
    area = page.evaluate("window.line.chart.chartArea")
    page.locator("canvas").hover(position={"x": area["left"] + 5, "y": area["top"] + 5})
    page.wait_for_function("() => window.line.chart.tooltip.body?.length === 8")
    told = page.evaluate("window.line.chart.tooltip.body.flatMap((part) => part.lines)")
    assert told == [f"run {number}: {number}" for number in range(19, 11, -1)]
    footer = page.evaluate("window.line.chart.tooltip.footer")
    assert footer == ["nearest to the pointer; up to 12 more lines here"]
    assert (
        page.evaluate(
            "new Set([...document.querySelectorAll('.chart-legend svg')].map((one) => one.innerHTML)).size"
        )
        == 20
    )


def test_many_runs_are_asked_when_they_started_only_for_the_axis_that_needs_it(site, viewer):
    runs = [live_run(steps=3, hours_ago=hours, alive=False)[0] for hours in range(1, 7)]
    page = site.open("/runs/", user=viewer)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/runs/compare/?ids={','.join(str(run.pk) for run in runs)}&x=step")
    page.wait_for_function(f"() => {CHART}?.data.datasets.length === 6")
    site.settle(page)
    assert len([url for url in asked if "/api/training/metrics?" in url]) == 2
    assert not [url for url in asked if url.endswith("/marks")]
    assert page.get_by_label("▲ checkpoints").is_disabled()
    page.get_by_label("Along x").select_option("relative")
    page.wait_for_function(f"() => {CHART}.scales.x.max < 120 && {CHART}.scales.x.min > 50")
    assert len([url for url in asked if url.endswith("/marks")]) == 6
