"""Exports: what is written is read again, bit by bit where the format can, and comes into place whole."""

import io
import json
import math
import struct
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from runs.interchange.exporting import WRITERS
from runs.interchange.foreign import Reading
from runs.interchange.reading import READERS
from runs.interchange.spool import Spool
from runs.interchange.tests.support import read
from runs.metrics.points import MAX_STEP
from runs.models import MetricPoint, Run
from runs.tests.support import make_run, write_points

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
) | st.sampled_from(["=1+1", "'=1", "''-a", "@a", "'a"])
POINTS = st.dictionaries(st.tuples(NAMES, st.integers(0, MAX_STEP)), st.floats(), min_size=1, max_size=30)


def exported(*runs, **options):
    out = StringIO()
    call_command(
        "export_history", *[str(run.pk) for run in runs], json=True, stdout=out, stderr=StringIO(), **options
    )
    return json.loads(out.getvalue())["runs"]


def as_bits(value):
    # SQLite knows no negative zero.
    return "nan" if math.isnan(value) else struct.pack("<d", value + 0.0).hex()


@pytest.mark.parametrize("format", WRITERS)
@given(points=POINTS)
def test_any_points_come_back_as_they_were(tmp_path_factory, format, points):
    folder = tmp_path_factory.mktemp("export")
    suffix = "tfevents" if format == "tensorboard" else format
    path = folder / f"x.{suffix}"
    rows = [(name, step, value, 1.7e9) for (name, step), value in sorted(points.items())]
    with path.open("wb") as file:
        assert WRITERS[format](file, iter(rows), True) == len(rows)
    with Spool() as spool:
        (run,) = READERS[format](path, spool, Reading())
        words = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
        found = {
            (name, point.step): as_bits(words[point.word] if point.value is None else point.value)
            for name in spool.names(run.number)
            for point in spool.points(run.number, name)
        }
    assert found == {key: as_bits(value) for key, value in points.items()}


@given(st.floats(width=32))
def test_values_of_32_bits_come_back_from_the_form_that_every_reader_knows(value):
    file = io.BytesIO()
    WRITERS["tensorboard"](file, iter([("x", 1, value, 1.7e9)]), False)
    assert struct.pack("<f", value) in file.getvalue() or math.isnan(value)


@pytest.fixture
def run(db):
    one = make_run(name="mine")
    write_points(one, {1: 0.1, 2: 0.2, 3: 0.3}, name="train/loss")
    write_points(one, {2: 1.0}, name="lr")
    MetricPoint.objects.filter(run=one, name="train/loss", step=3).update(superseded=True)
    MetricPoint.objects.filter(run=one, name="lr").update(value=None, non_finite="-inf")
    return one


@pytest.mark.parametrize("format", WRITERS)
def test_a_run_goes_out_without_what_was_overtaken(run, tmp_path, format):
    (one,) = exported(run, format=format, output=tmp_path / "out", exact=True)
    assert one["points"] == 3
    path = tmp_path / "out" if format == "tensorboard" else one["path"]
    ((_, points),) = read(type(tmp_path)(path))
    assert points == {"train/loss": [(1, 0.1, ""), (2, 0.2, "")], "lr": [(2, None, "-inf")]}


def test_event_files_lie_in_a_folder_for_each_run_and_replace_older_exports(run, tmp_path):
    other = make_run()
    write_points(other, {1: 2.0}, name="train/loss")
    for _ in range(2):
        exported(run, other, output=tmp_path)
    names = sorted(path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*tfevents*"))
    assert names == sorted([f"run-{run.pk}", f"run-{other.pk}"])
    assert not list(tmp_path.rglob("*.fresh"))


def test_an_export_replaces_a_link_and_does_not_write_through_it(run, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"run-{run.pk}.csv").symlink_to(victim)
    exported(run, format="csv", output=tmp_path)
    assert victim.read_text() == "mine"


@pytest.mark.django_db
def test_what_cannot_be_exported_is_named(run, tmp_path):
    with pytest.raises(CommandError, match="has no points to export"):
        exported(make_run(), output=tmp_path)
    with pytest.raises(CommandError, match="There is no run 999999"):
        call_command("export_history", "999999", "-o", str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written"):
        exported(run, output=tmp_path / "file" / "below")
    assert Run.objects.count() == 2
