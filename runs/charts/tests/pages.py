"""The charts of a run in a browser: what tests of them share."""

LOSS = 'canvas[data-names^="train/loss"]'
NOTE = f"figure:has({LOSS}) .chart-note"
# The chart that belongs to a canvas, as Chart.js knows it.
CHART = f"Chart.getChart(document.querySelector('{LOSS}'))"


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
