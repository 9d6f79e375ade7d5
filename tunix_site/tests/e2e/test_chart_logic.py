"""What the chart modules reckon, in a browser, against numbers that were worked out by hand."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(site, viewer):
    """Run an expression with the exports of a chart module in reach as ``m``."""
    page = site.open("/datasets/", user=viewer)

    def evaluate(module, expression):
        return page.evaluate(
            f"async () => {{ const m = await import('/static/js/{module}.js'); return {expression}; }}"
        )

    return evaluate


def test_smoothing_is_an_average_without_the_bias_of_its_start(run):
    # β = 0.5: s = 0.5, 1.25, 3.125; divided by 1-β^t = 0.5, 0.75, 0.875.
    assert run("chart-smoothing", "m.smooth([1, 2, 5], 0.5)") == pytest.approx(
        [1, 1.25 / 0.75, 3.125 / 0.875]
    )
    assert run("chart-smoothing", "m.smooth([3, 1, 4], 0)") == [3, 1, 4]
    assert run("chart-smoothing", "m.smooth([7, 7, 7], 0.99)") == pytest.approx([7, 7, 7])


def test_values_that_are_not_finite_move_no_average(run):
    # NaN never comes over the API, but a module of its own must bear it.
    got = run("chart-smoothing", "m.smooth([1, null, NaN, 2, Infinity, 5], 0.5)")
    assert got == [1, None, None, pytest.approx(1.25 / 0.75), None, pytest.approx(3.125 / 0.875)]


def test_a_group_weighs_by_the_points_that_it_stands_for(run):
    # Half as many points: β^0.5 in the place of β. s = 0.5·4 = 2, bias 0.5; then keep = √0.5.
    keep = 0.5**0.5
    second = (keep * 2 + (1 - keep) * 8) / (1 - 0.5 * keep)
    assert run("chart-smoothing", "m.smooth([4, 8], 0.5, [1000, 500])") == pytest.approx([4, second])
    assert run("chart-smoothing", "m.smooth([4, 8], 0.5, [500, 500])") == pytest.approx([4, 5 / 0.75])


def test_a_percentile_lies_between_its_neighbours(run):
    assert run("chart-clipping", "[0, 25, 50, 90, 100].map((p) => m.percentile([0, 10, 20, 30, 40], p))") == [
        0,
        10,
        20,
        36,
        40,
    ]


def test_clipping_leaves_the_outermost_values_outside(run):
    values = "[...Array(101).keys()]"
    # Percentiles 5 and 95 of 0…100 are 5 and 95; a twentieth of 90 is added on both sides.
    assert run("chart-clipping", f"m.clipRange({values}, {values}, 5)") == {"low": 0.5, "high": 99.5}
    assert run("chart-clipping", f"m.clipRange({values}, {values}, 0)") is None
    assert run("chart-clipping", "m.clipRange([3, 3, NaN], [3, 3, NaN], 5)") is None
    logarithmic = run("chart-clipping", "m.clipRange([-5, 1, 1, 1], [-5, 100, 100, 100], 1, true)")
    assert logarithmic == {"low": pytest.approx(100**-0.05), "high": pytest.approx(100 * 100**0.05)}


def test_a_step_is_found_on_the_axis_of_tokens(run):
    assert run("chart-axes", "m.interpolate([10, 20, 40], [100, 300, 400], 15)") == 200
    assert run("chart-axes", "m.interpolate([10, 20, 40], [100, 300, 400], 40)") == 400
    assert run("chart-axes", "[5, 41].map((at) => Number.isNaN(m.interpolate([10, 40], [1, 2], at)))") == [
        True,
        True,
    ]


AXES = """(() => {
  const positions = new m.Positions();
  const tokens = {name: "train/tokens_seen", run_id: 7, step: [10, 20], value: [950, 1500], max: [1000, 2000],
                  last: [1000, 2000], time: [60, 70]};
  const loss = {name: "train/loss", run_id: 7, step: [5, 15, 25], value: [1, 1, 1], time: [55, 65, 75]};
  const other = {name: "train/loss", run_id: 8, step: [1], value: [1], time: [1000]};
  positions.learn([tokens, loss, other]);
  positions.started(7, 50);
  return %s;
})()"""


def test_every_axis_places_the_steps_of_each_run(run):
    assert run("chart-axes", AXES % "positions.of('step', loss)") == [5, 15, 25]
    assert run("chart-axes", AXES % "positions.of('wall', loss)") == [55, 65, 75]
    assert run("chart-axes", AXES % "positions.of('relative', loss)") == [5, 15, 25]
    # Before its first record a run had seen what lies on the way from zero; after its last one nobody knows.
    assert run("chart-axes", AXES % "positions.of('tokens', loss).map(String)") == ["500", "1500", "NaN"]
    assert run("chart-axes", AXES % "positions.of('relative', other)") == [0]
    assert run("chart-axes", AXES % "positions.at('relative', loss, 10, undefined)") == 10


def test_an_axis_that_cannot_be_drawn_says_why(run):
    assert run("chart-axes", AXES % "positions.reasonAgainst('tokens', [loss, other])") == ""
    assert (
        run("chart-axes", AXES % "positions.reasonAgainst('epoch', [loss])") == "the run has no train/epoch"
    )
    assert (
        run("chart-axes", AXES % "positions.reasonAgainst('epoch', [loss, other])")
        == "no run has train/epoch"
    )
    assert (
        run("chart-axes", AXES % "positions.reasonAgainst('wall', [{...loss, time: []}])")
        == "the points say no time"
    )


def test_a_range_on_any_axis_becomes_the_steps_to_ask_for(run):
    assert run("chart-axes", AXES % "m.stepRange(positions, 'step', loss, [100.4, 200.6])") == [95, 206]
    assert run("chart-axes", AXES % "m.stepRange(positions, 'wall', loss, [64, 66])") == [5, 25]
    assert run("chart-axes", AXES % "m.stepRange(positions, 'wall', loss, [56, 58])") == [5, 25]
    assert run("chart-axes", AXES % "m.stepRange(positions, 'wall', loss, [80, 90])") is None


def test_runs_that_need_the_same_steps_are_asked_for_together(run):
    chart = """(() => {
      const coarse = {name: "train/loss", step: [500, 1000], value: [1, 1], count: [500, 500]};
      const of = (run_id, more) => ({...coarse, run_id, ...more});
      const series = [of(7), of(8), of(9, {count: [1, 1]}), of(5, {faint: true, step: [50, 100]})];
      series.push(of(7, {superseded: true}));
      return m.detailRequests([{series, positions: null, view: {axis: "step", zoom: [100, 200]}}]);
    })()"""
    assert run("chart-detail", chart) == [
        {"ids": [7, 8], "names": ["train/loss"], "from": 95, "to": 205},
        {"ids": [5], "names": ["train/loss"], "from": 95, "to": 100},
    ]


@pytest.mark.parametrize(
    ("wanted", "fitted"),
    [
        ([20, 40], [20, 40]),
        ([-10, 10], [0, 20]),
        ([90, 110], [80, 100]),
        ([-5, 200], None),
        ([50, 50], [50 - 5e-6, 50 + 5e-6]),
    ],
)
def test_a_zoom_stays_within_the_data(run, wanted, fitted):
    got = run("chart-zoom", f"m.fitRange({wanted}, [0, 100])")
    assert got == (fitted if fitted is None else pytest.approx(fitted))


def test_later_points_never_cut_a_group_in_two(run):
    held = "{step: [10, 20], value: [1, 2], min: [0, 1], max: [2, 3], count: [10, 10], non_finite: []}"
    fresh = "{step: [19, 20, 21], value: [5, 6, 7], non_finite: [21]}"
    got = run(
        "chart-series",
        f"(() => {{ const held = m.copySeries({held}); m.appendTo(held, {fresh}); return held; }})()",
    )
    assert (got["step"], got["value"], got["count"]) == ([10, 20, 21], [1, 2, 7], [10, 10, 1])
    assert got["non_finite"] == [21]


def test_settings_make_the_way_through_an_address(run):
    address = "x=tokens&smooth=0.6&clip=1&log=train%2Floss&marks=broken%2Cresumes&zoom=10.5..2000"
    assert (
        run("chart-settings", f"m.writeSettings(m.readSettings(new URLSearchParams('{address}'))).toString()")
        == address
    )
    nonsense = "x=__proto__&smooth=7&clip=50&marks=what&zoom=5..2"
    assert (
        run(
            "chart-settings", f"m.writeSettings(m.readSettings(new URLSearchParams('{nonsense}'))).toString()"
        )
        == "x=step&marks="
    )


def test_moments_and_lengths_of_time_are_said_as_exactly_as_needed(run):
    say = "[3725, 59.5, 86400 * 2, -90, 0]"
    assert run("chart-ticks", f"{say}.map((one) => m.durationText(one))") == [
        "1 h 2 min 5 s",
        "59.5 s",
        "2 d",
        "−1 min 30 s",
        "0 s",
    ]
    moments = "[m.momentText(86400 * 365, 60), m.momentText(86400 * 365 + 3660, 60), m.momentText(5, 1)]"
    assert run("chart-ticks", moments) == ["1971-01-01", "01:01", "00:00:05"]
    assert run("chart-ticks", "m.timeTicks(3590, 7300, 5).ticks") == [3600, 4500, 5400, 6300, 7200]
    assert run("chart-ticks", "m.roundTicks(17, 103, 5).ticks") == [20, 40, 60, 80, 100]
    assert run("chart-ticks", "m.roundTicks(1, 3, 8, 1).ticks") == [1, 2, 3]


def test_cells_of_csv_are_quoted_and_no_formulas(run):
    cells = """['plain', 'a,b', 'say "x"', '=1+1', '-x', -1.5, null, undefined].map(m.csvCell)"""
    assert run("chart-export", cells) == ["plain", '"a,b"', '"say ""x"""', "'=1+1", "'-x", "-1.5", "", ""]
    assert run("chart-export", "m.fileName('Loss / é', [7], 'png')") == "run-7-loss.png"


def test_the_wait_grows_with_failures_and_while_nobody_looks(run):
    waits = "[[0, false], [0, true], [1, false], [3, true], [99, false]]"
    assert run("chart-live", f"{waits}.map((one) => m.waitFor(...one))") == [2000, 15000, 4000, 16000, 60000]


def test_twenty_four_lines_can_be_told_apart(run):
    styles = run("chart-palette", "[...Array(24).keys()].map((at) => JSON.stringify(m.lineStyle(at)))")
    assert len(set(styles)) == 24


def test_the_labels_of_an_axis_differ_from_each_other(run):
    ticks = "[{value: 1073741824}, {value: 1073841824}]"
    assert run("chart-ticks", f"m.valueText(1073741824, {ticks}, 'bytes')") == "1 GiB"
    assert run("chart-ticks", f"m.valueText(1073841824, {ticks}, 'bytes')") == "1.00009 GiB"
    assert run("chart-ticks", "m.valueText(512, [{value: 0}, {value: 512}], 'bytes')") == "512 bytes"
    assert run("chart-ticks", "m.valueText(40010, [{value: 40000}, {value: 40010}])") == "40,010"
    assert run("chart-ticks", "m.valueText(1.00001, [{value: 1}, {value: 1.00001}])") == "1.00001"
    assert run("chart-ticks", "m.valueText(1234567, [{value: 1234566}, {value: 1234567}])") == "1.234567e+6"
    assert run("chart-ticks", "m.valueText(3e9, [{value: 0}, {value: 1e9}])") == "3e+9"
    assert run("chart-ticks", "m.valueText(0.5, [])") == "0.5"
