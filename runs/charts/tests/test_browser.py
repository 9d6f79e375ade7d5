"""The charts of a run in chromium: zoom, keys, axes, marks, files, live points, and what an address keeps."""

import csv
import io

import pytest

from runs.charts.tests.support import big_run, live_run
from runs.ingest import ingest_attempt
from runs.states import Status
from runs.tests.support import make_run, run_in, write_points
from tunix_site.tests.browser import WIDTHS, fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LOSS = 'canvas[data-names^="train/loss"]'
NOTE = f"figure:has({LOSS}) .chart-note"
# The chart that belongs to a canvas, as Chart.js knows it.
CHART = f"Chart.getChart(document.querySelector('{LOSS}'))"


@pytest.fixture
def big(tmp_path):
    return big_run(tmp_path)


def opened(site, user, run, query="", **look):
    page = site.open(f"/runs/{run.pk}/charts/{query}", user=user, **look)
    page.wait_for_function(f"() => {CHART}?.data.datasets[0]?.data.length > 0")
    site.settle(page)
    return page


def shown(page):
    """What lies between the edges of the loss chart, in places of its x axis."""
    return page.evaluate(f"[{CHART}.scales.x.min, {CHART}.scales.x.max]")


def drag(page, selector, start, end):
    """Draw a range over a chart, from and to as shares of its width."""
    page.locator(selector).scroll_into_view_if_needed()
    area = page.evaluate(f"Chart.getChart(document.querySelector('{selector}')).chartArea")
    box = page.locator(selector).bounding_box()
    x = [box["x"] + area["left"] + share * (area["right"] - area["left"]) for share in (start, end)]
    y = box["y"] + (area["top"] + area["bottom"]) / 2
    page.mouse.move(x[0], y)
    page.mouse.down()
    page.mouse.move(sum(x) / 2, y)
    page.mouse.move(x[1], y)
    page.mouse.up()


def zoomed(page, within):
    """Wait until the charts are zoomed in and hold finer points; gives the note of the loss."""
    page.wait_for_function(f"() => {CHART}.scales.x.max - {CHART}.scales.x.min < {within}")
    page.locator(NOTE, has_text="zoomed in").wait_for()
    page.locator(NOTE).filter(has_not_text="group").wait_for()
    return page.inner_text(NOTE)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_tab_fits_every_window(site, viewer, big, theme, width):
    page = opened(site, viewer, big, "?smooth=0.8&clip=1", theme=theme, width=width)
    assert fits(page)
    shoot(page, f"run-charts-{width}-{theme}")
    page.locator(".chart-help summary").click()
    page.locator(".chart-menu summary").first.click()
    assert fits(page)


def test_dragging_zooms_all_charts_and_reads_raw_points_and_a_double_click_goes_back(site, viewer, big):
    page = opened(site, viewer, big)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    assert "1,000 of 3,000 points" in page.inner_text(NOTE)
    whole = shown(page)
    drag(page, LOSS, 0.25, 0.5)
    note = zoomed(page, 1000)
    low, high = shown(page)
    assert (low, high) == (pytest.approx(750, abs=10), pytest.approx(1500, abs=10))
    ranged = [url for url in asked if "from_step=" in url]
    assert len(ranged) == 1
    margin = round((high - low) / 20)
    assert f"from_step={int(low) - margin}&" in ranged[0]
    assert "train%2Ftokens_per_second" in ranged[0]
    # Every stored point of the range is there now, one by one.
    points = int(high) - int(low // 1 + (low % 1 > 0)) + 1
    assert f"train/loss: {points:,} of {points:,} points" in note
    assert "group" not in note
    other = 'canvas[data-names="train/tokens_per_second"]'
    assert page.evaluate(f"Chart.getChart(document.querySelector('{other}')).scales.x.min") == low
    assert "zoom=" in page.url
    page.locator(LOSS).dblclick(position={"x": 150, "y": 60})
    page.wait_for_function(f"() => {CHART}.scales.x.max === {whole[1]}")
    assert shown(page) == whole
    assert "zoom=" not in page.url


def test_the_keyboard_alone_walks_zooms_pans_and_goes_back(site, viewer, big):
    page = opened(site, viewer, big)
    whole = shown(page)
    page.locator(LOSS).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    said = page.locator(f"figure:has({LOSS}) [role=status]")
    assert said.inner_text().startswith("step 6 · ")
    assert "UTC; train/loss: " in said.inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("+")
    page.wait_for_function(f"() => {CHART}.scales.x.max - {CHART}.scales.x.min < {0.6 * whole[1]}")
    low, high = shown(page)
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"() => {CHART}.scales.x.min > {low}")
    assert shown(page)[1] - shown(page)[0] == pytest.approx(high - low)
    page.keyboard.press("-")
    page.keyboard.press("-")
    page.wait_for_function(f"() => {CHART}.scales.x.max - {CHART}.scales.x.min === {whole[1] - whole[0]}")
    page.keyboard.press("+")
    page.wait_for_function(f"() => {CHART}.scales.x.max - {CHART}.scales.x.min < {0.6 * whole[1]}")
    page.keyboard.press("0")
    page.wait_for_function(f"() => {CHART}.scales.x.max === {whole[1]}")


def test_a_button_shows_everything_again(site, viewer, big):
    page = opened(site, viewer, big, "?zoom=1000..1200")
    assert shown(page) == [1000, 1200]
    page.get_by_role("group", name="How the charts are shown").get_by_role(
        "button", name="Reset zoom"
    ).click()
    page.wait_for_function(f"() => {CHART}.scales.x.max > 2900")
    assert page.get_by_role("button", name="Reset zoom").count() == 0


def test_a_finger_scrolls_the_page_up_and_down_and_zooms_sideways(site, viewer, big):
    page = opened(site, viewer, big, width="phone")
    whole = shown(page)
    driver = page.context.new_cdp_session(page)
    driver.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.locator(LOSS).scroll_into_view_if_needed()

    def swipe(across, down):
        box = page.locator(LOSS).bounding_box()
        x, y = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5
        driver.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for part in range(1, 11):
            at = {"x": x + across * part / 10, "y": y + down * part / 10}
            driver.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
        driver.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before = page.evaluate("window.scrollY")
    swipe(0, -150)
    page.wait_for_function(f"() => window.scrollY > {before} + 50")
    assert shown(page) == whole
    swipe(100, 0)
    page.wait_for_function(f"() => {CHART}.scales.x.max < {whole[1]}")


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


def test_a_zoom_keeps_its_stretch_of_the_run_on_another_axis(site, viewer, big):
    page = opened(site, viewer, big, "?x=step&zoom=1000..2000")
    page.get_by_label("Along x").select_option("tokens")
    page.wait_for_function(f"() => {CHART}.options.scales.x.title.text === 'tokens seen'")
    assert shown(page) == [pytest.approx(1_000_000, rel=0.01), pytest.approx(2_000_000, rel=0.01)]
    zoomed(page, 2_000_000)


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


def test_a_picture_and_the_numbers_shown_are_files(site, viewer, big, tmp_path):
    page = opened(site, viewer, big, "?zoom=1000..1004&smooth=0.5")
    zoomed(page, 10)
    figure = page.locator(f"figure:has({LOSS})")
    figure.locator(".chart-menu summary").click()
    with page.expect_download() as waited:
        page.get_by_role("button", name="Picture (PNG)").click()
    assert waited.value.suggested_filename == f"run-{big.pk}-loss.png"
    waited.value.save_as(tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    figure.locator(".chart-menu summary").click()
    with page.expect_download() as waited:
        page.get_by_role("button", name="What is shown (CSV)").click()
    waited.value.save_as(tmp_path / "loss.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "loss.csv").read_bytes().decode())))
    assert [row["step"] for row in rows] == ["1000", "1001", "1002", "1003", "1004"]
    stored = dict(big.points.filter(name="train/loss", step__range=(1000, 1004)).values_list("step", "value"))
    assert {int(row["step"]): float(row["value"]) for row in rows} == stored
    assert {row["run"] for row in rows} == {str(big.pk)}
    figure.locator(".chart-menu summary").click()
    with page.expect_download() as waited:
        page.get_by_role("link", name="All points (CSV)").click()
    waited.value.save_as(tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_bytes().decode())))
    assert len(rows) == big.points.filter(name__in=["train/loss", "eval/loss"]).count()


def test_the_table_holds_what_is_in_view(site, viewer, big):
    page = opened(site, viewer, big, "?zoom=1000..1004")
    zoomed(page, 10)
    figure = page.locator(f"figure:has({LOSS})")
    figure.get_by_text("Numbers as a table").click()
    figure.locator("tbody tr").nth(4).wait_for()
    assert [row.split("\t")[0] for row in figure.locator("tbody tr").all_inner_texts()] == [
        "1004",
        "1003",
        "1002",
        "1001",
        "1000",
    ]


def test_charts_ask_for_their_points_as_they_come_into_view(site, viewer):
    run = make_run()
    for number in range(30):
        write_points(run, {1: 1.0, 2: 2.0}, name=f"mine/metric{number:02}")
    asked = []
    page = site.open("/runs/", user=viewer)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/runs/{run.pk}/charts/")
    site.settle(page)
    assert any("metric00" in url for url in asked)
    assert not any("metric29" in url for url in asked)
    page.locator('canvas[data-names="mine/metric29"]').scroll_into_view_if_needed()
    page.locator(
        'figure:has(canvas[data-names="mine/metric29"]) .chart-note', has_text="2 of 2 points"
    ).wait_for()
    assert any("metric29" in url for url in asked)


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


def test_new_points_come_by_themselves_and_leave_a_zoom_alone(site, viewer):
    run, attempt, recorder = live_run(steps=60)
    page = opened(site, viewer, run)
    page.evaluate("window.stayed = true")
    assert shown(page) == [1, 60]
    recorder.metrics(70, {"train/loss": 0.25})
    ingest_attempt(attempt)
    page.wait_for_function(f"() => {CHART}.scales.x.max === 70")
    page.locator(LOSS).focus()
    page.keyboard.press("+")
    page.wait_for_function(f"() => {CHART}.scales.x.max < 70")
    before = shown(page)
    recorder.metrics(80, {"train/loss": 0.125})
    ingest_attempt(attempt)
    page.wait_for_function(f"() => {CHART}.data.datasets[0].data.at(-1).x === 80")
    assert shown(page) == before
    page.keyboard.press("0")
    page.wait_for_function(f"() => {CHART}.scales.x.max === 80")
    assert page.evaluate("window.stayed")


def test_a_site_that_does_not_answer_is_said_and_forgotten_once_it_does(site, viewer):
    run, attempt, recorder = live_run(steps=5)
    page = opened(site, viewer, run)
    page.route("**/metrics?*", lambda route: route.abort())
    page.locator("[data-live-notice]", has_text="may be old").wait_for()
    page.unroute("**/metrics?*")
    recorder.metrics(6, {"train/loss": 0.5})
    ingest_attempt(attempt)
    page.wait_for_function(f"() => {CHART}.scales.x.max === 6")
    assert page.locator("[data-live-notice]").is_hidden()
    site.complaints[:] = [text for text in site.complaints if "ERR_FAILED" not in text]


def test_a_run_that_has_ended_is_asked_for_nothing_more(site, viewer):
    run = run_in(Status.COMPLETED)
    write_points(run, {1: 1.0, 2: 0.5})
    page = opened(site, viewer, run)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []


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
