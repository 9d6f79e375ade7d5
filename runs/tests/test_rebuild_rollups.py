"""``rebuild_rollups`` and the migration that makes the first rollups."""

import importlib
import json
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from runs.metrics.checking import differences
from runs.metrics.rollups import overtake
from runs.models import MetricBucket, Run
from runs.tests.support import make_run, write_points

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    run = make_run()
    write_points(
        run, {step: step / 7 for step in range(0, 9000, 3)} | {9: None, 10**9: 1.7e308, 10**9 + 1: 1e308}
    )
    overtake(run.pk, step__gt=5000)
    write_points(run, dict.fromkeys(range(5001, 5100), 1.0), attempt=2)
    write_points(run, {1: 1.0}, name="eval/loss")
    return run


def command(capsys, *words: str):
    call_command("rebuild_rollups", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_missing_and_wrong_rollups_are_made_anew(run, capsys):
    MetricBucket.objects.filter(run=run, level__gt=2).delete()
    MetricBucket.objects.filter(run=run, level=0).update(low=-1.0)
    assert list(differences(run))
    assert command(capsys, str(run.pk)) == {"runs": [run.pk], "series": 3}
    assert list(differences(run)) == []


def test_without_a_run_all_are_made_anew_and_only_the_named_ones_else(run, capsys):
    other = make_run()
    write_points(other, {1: 1.0})
    MetricBucket.objects.all().delete()
    assert command(capsys, str(other.pk))["series"] == 1
    assert not MetricBucket.objects.filter(run=run).exists()
    assert command(capsys) == {"runs": [run.pk, other.pk], "series": 4}


def test_a_check_changes_nothing_and_says_what_disagrees(run, capsys):
    assert command(capsys, "--check", str(run.pk)) == {"runs": [run.pk], "wrong": {}}
    MetricBucket.objects.filter(run=run, name="eval/loss", level=1).update(high=5.0)
    with pytest.raises(CommandError, match=f"rebuild_rollups {run.pk}") as caught:
        call_command("rebuild_rollups", "--check")
    assert caught.value.returncode == 1
    assert "eval/loss, 64 steps from 0: high is 5.0, not 1.0" in capsys.readouterr().out
    assert MetricBucket.objects.filter(high=5.0).count() == 1


def test_a_long_list_of_findings_is_cut(run, capsys):
    MetricBucket.objects.filter(run=run).delete()
    with pytest.raises(CommandError):
        call_command("rebuild_rollups", "--check")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith("more")


def test_a_run_that_is_not_there_is_named(run):
    with pytest.raises(CommandError, match="There is no run 999999"):
        call_command("rebuild_rollups", "999999")


def test_the_migration_makes_the_rollups_of_points_that_are_there(run):
    def stored():
        rows = MetricBucket.objects.order_by("run", "level", "name", "track", "bucket")
        return [{**row, "id": 0, "total": 0} for row in rows.values()]

    before = stored()
    MetricBucket.objects.all().delete()
    migration = importlib.import_module("runs.migrations.0008_fill_metric_buckets")
    # Of a schema editor it uses the connection alone; SQLite's own refuses to begin within a transaction.
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert list(differences(Run.objects.get(pk=run.pk))) == []
    assert stored() == before
