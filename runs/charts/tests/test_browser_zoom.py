"""Charts in chromium: zoom, keys, fingers, files, and points that come as a run goes on."""

import csv
import io

import pytest

from runs.charts.tests.pages import CHART, LOSS, NOTE, drag, opened, shown, zoomed
from runs.charts.tests.support import big_run, live_run
from runs.ingest import ingest_attempt
from runs.states import Status
from runs.tests.support import make_run, run_in, write_points

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def big(tmp_path):
    return big_run(tmp_path)


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


def test_a_zoom_keeps_its_stretch_of_the_run_on_another_axis(site, viewer, big):
    page = opened(site, viewer, big, "?x=step&zoom=1000..2000")
    page.get_by_label("Along x").select_option("tokens")
    page.wait_for_function(f"() => {CHART}.options.scales.x.title.text === 'tokens seen'")
    assert shown(page) == [pytest.approx(1_000_000, rel=0.01), pytest.approx(2_000_000, rel=0.01)]
    zoomed(page, 2_000_000)


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
