"""Every metric of a run finds its chart, the known ones first."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.charts.groups import chart_sections, imported_charts
from runs.metrics.curves import newest_points
from runs.states import Kind, Status
from runs.tests.support import make_run, run_in, write_points

pytestmark = pytest.mark.django_db


def drawn(run):
    return {section.title: [chart.names for chart in section.charts] for section in chart_sections(run)}


def test_the_names_of_a_runs_metrics_are_found_in_one_question():
    run, other = make_run(), make_run()
    for name in ("train/loss", "zeta", "eval/loss", "Größe/ß"):
        write_points(run, {1: 1.0, 2: 2.0}, name=name)
    write_points(other, {1: 1.0}, name="of/another")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert newest_points(run).keys() == {"train/loss", "zeta", "eval/loss", "Größe/ß"}
    assert len(asked) == 1
    assert newest_points(make_run()) == {}


def test_any_metric_has_a_chart_and_the_known_ones_come_first():
    run = make_run()
    for name in (
        "my/own",
        "bare",
        "/odd",
        "eval/loss",
        "train/zz",
        "train/loss",
        "system/compile_time",
        "eval/f1",
    ):
        write_points(run, {1: 1.0}, name=name)
    assert drawn(run) == {
        "Training": ["train/loss,eval/loss", "train/zz"],
        "Evaluation on held-out traces": ["eval/f1"],
        "Device and host": ["system/compile_time"],
        "my": ["my/own"],
        "Other metrics": ["/odd", "bare"],
    }
    ids = [chart.element_id for section in chart_sections(run) for chart in section.charts]
    assert len(ids) == len(set(ids))


def test_a_training_at_work_has_the_charts_that_it_will_fill():
    assert drawn(run_in(Status.RUNNING))["Training"][0] == "train/loss,eval/loss"
    assert drawn(make_run(kind=Kind.GENERATE, total_steps=0)) == {}


def test_an_imported_run_shows_some_of_its_own_metrics_losses_first():
    run = make_run(kind=Kind.IMPORTED)
    for name in ("accuracy", "zz", "validation_loss", "_private", "train/loss"):
        write_points(run, {1: 1.0}, name=name)
    assert [chart.names for chart in imported_charts(run)] == ["train/loss", "validation_loss", "accuracy"]


@pytest.mark.parametrize("status", [Status.DRAFT, Status.RUNNING, Status.COMPLETED])
def test_the_tab_opens_in_every_state(client, viewer, status):
    run = run_in(status, name="<b>bold</b>")
    write_points(run, {1: 1.0}, name="odd/<script>")
    client.force_login(viewer)
    text = client.get(f"/runs/{run.pk}/charts/").content.decode()
    assert 'aria-current="page">Charts' in text
    assert "odd/&lt;script&gt;" in text
    assert client.get("/runs/4711/charts/").status_code == 404


def test_a_run_without_points_says_so(client, viewer):
    client.force_login(viewer)
    assert "No metric points yet." in client.get(f"/runs/{make_run().pk}/charts/").content.decode()


def test_the_tab_costs_the_same_for_few_metrics_and_for_many(client, viewer, django_assert_max_num_queries):
    run = run_in(Status.COMPLETED)
    for number in range(60):
        write_points(run, {1: 1.0}, name=f"many/metric{number}")
    client.force_login(viewer)
    with django_assert_max_num_queries(20):
        assert client.get(f"/runs/{run.pk}/charts/").content.count(b"<canvas") == 60
