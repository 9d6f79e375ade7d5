"""From a source to rows: all or nothing, again without harm, and a run that is no training of ours."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError

from runs.interchange import storing
from runs.interchange.tests.support import (
    event,
    event_file,
    mlflow_run,
    restart,
    scalars,
    simple,
    wandb_exit,
    wandb_file,
    wandb_history,
    wandb_run,
)
from runs.listing.organising import change_tags
from runs.metrics.points import insert_points
from runs.models import Attempt, MetricPoint, Run, Tag
from runs.states import Kind, Status
from runs.tests.support import make_run
from runs.verbs import offered, perform, verb_named
from tunix_site.errors import ConflictError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def imported(path, *flags):
    out = StringIO()
    call_command("import_history", str(path), "--json", *flags, stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())["runs"]


def told(path, *flags):
    out = StringIO()
    call_command("import_history", str(path), *flags, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def csv(tmp_path):
    def write(text, name="old.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def curve(run, name):
    rows = MetricPoint.objects.filter(run=run, name=name).order_by("step")
    return list(rows.values_list("step", "value", "non_finite"))


def test_an_import_makes_a_run_that_says_where_it_came_from(csv):
    (one,) = imported(
        csv("step,time,loss\n1,1700000000,0.5\n3,1700000060,nan\n"), "--tag", "old", "--tag", "a/b"
    )
    assert (one["metrics"], one["points"], one["stored"], one["created"]) == (1, 2, 2, True)
    run = Run.objects.get(pk=one["run_id"])
    assert (run.kind, run.status, run.name, run.step) == (Kind.IMPORTED, Status.COMPLETED, "old", 3)
    assert curve(run, "loss") == [(1, 0.5, ""), (3, None, "nan")]
    assert set(run.tags.values_list("name", flat=True)) == {"old", "a/b"}
    assert run.provenance["imported"]["format"] == "csv"
    assert "old.csv" in run.origin
    assert run.started_at is not None
    assert run.finished_at is not None
    assert (run.finished_at - run.started_at).total_seconds() == 60
    assert MetricPoint.objects.get(run=run, step=1).at.timestamp() == 1700000000
    assert AuditEvent.objects.filter(action="run.imported", target_id=str(run.pk)).count() == 1


def test_a_tag_that_is_here_in_another_case_is_taken(csv):
    change_tags(make_run(), add=["Baseline"])
    path = csv("step,loss\n1,0.5\n")
    [told] = imported(path, "--tag", "baseline")
    assert [tag.name for tag in Run.objects.get(pk=told["run_id"]).tags.all()] == ["Baseline"]


def test_importing_again_says_already_here_and_adds_only_what_is_new(csv):
    path = csv("step,loss\n1,0.5\n")
    imported(path)
    assert told(path).startswith("Already here: run ")
    csv("step,loss,acc\n1,0.5,\n2,0.25,1\n")
    (one,) = imported(path)
    assert (one["created"], one["stored"], one["points"]) == (False, 2, 3)
    run = Run.objects.get()
    assert curve(run, "loss") == [(1, 0.5, ""), (2, 0.25, "")]
    assert (run.step, run.attempts.get().end_step) == (2, 2)


def test_a_source_that_contradicts_what_is_here_is_refused_before_anything_is_stored(csv):
    path = csv("step,loss\n1,0.5\n2,0.25\n")
    imported(path)
    csv("step,loss\n1,0.5\n2,0.75\n3,0.1\n")
    with pytest.raises(CommandError, match=r"another value of loss at step 2: 0.25 here, 0.75 in"):
        imported(path)
    assert MetricPoint.objects.count() == 2


def test_a_dry_run_stores_nothing(csv):
    path = csv("step,loss\n1,0.5\n")
    assert "would get 1 new of 1 points of 1 metric" in told(path, "--dry-run")
    assert (Run.objects.count(), Attempt.objects.count(), Tag.objects.count()) == (0, 0, 0)


def test_an_error_while_storing_leaves_nothing_half_written(csv, monkeypatch):
    monkeypatch.setattr(storing, "POINTS_A_BATCH", 1)
    calls: list[object] = []

    def fail_at_the_second(**given):
        calls.append(given)
        if len(calls) == 2:
            raise DatabaseError("the disk is full")
        insert_points(**given)

    monkeypatch.setattr(storing, "insert_points", fail_at_the_second)
    with pytest.raises(DatabaseError):
        imported(csv("step,loss\n1,1\n2,2\n3,3\n"))
    assert (Run.objects.count(), MetricPoint.objects.count(), AuditEvent.objects.count()) == (0, 0, 0)


def test_an_error_in_the_last_line_stores_nothing(csv):
    with pytest.raises(CommandError, match="line 4, column loss: 'x' is no number"):
        imported(csv("step,loss\n1,1\n2,2\n3,x\n"))
    assert not Run.objects.exists()


def test_names_that_are_too_long_are_shortened_and_told(csv):
    long = "metric/" * 20
    (one,) = imported(csv(f"step,{long}a,{long}b\n1,1,2\n"))
    names = set(MetricPoint.objects.values_list("name", flat=True))
    assert len(names) == 2
    assert all(len(name) == 80 for name in names)
    assert sum("too long and is stored as" in notice for notice in one["notices"]) == 2


def test_what_is_too_long_for_a_run_is_cut_off_and_told(tmp_path):
    path = wandb_file(tmp_path / "r.wandb", wandb_run("x", "n" * 400), wandb_history(1, {"a": 1}))
    (one,) = imported(path)
    assert Run.objects.get().name == "n" * 300
    assert any("its name was cut off at 300" in notice for notice in one["notices"])


def test_what_the_api_exports_comes_in_again(csv):
    heads = "run_id,name,step,value,non_finite,at,attempt,superseded"
    rows = heads + '\r\n7,"a, b",1,0.5,,2023-11-14T22:13:20Z,1,false\r\n'
    rows += "7,a,1,,nan,2023-11-14T22:13:20Z,1,false\r\n7,a,1,9.0,,2023-11-14T22:13:20Z,1,true\r\n"
    (one,) = imported(csv(rows))
    run = Run.objects.get(pk=one["run_id"])
    assert (curve(run, "a, b"), curve(run, "a")) == ([(1, 0.5, "")], [(1, None, "nan")])
    assert run.name == "7"


def test_tensorboard_wandb_and_mlflow_come_in_with_format_auto(tmp_path):
    scalars(tmp_path / "tb" / "a", [("x", 1, 1.0)])
    wandb_file(tmp_path / "w" / "run-x.wandb", wandb_run(lr=0.1), wandb_history(1, {"a": 1}), wandb_exit(1))
    mlflow_run(tmp_path / "mlruns", "abc", {"x": "1700000000000 1 1\n"})
    formats = [imported(tmp_path / name)[0] for name in ("tb", "w", "mlruns")]
    assert [one["format"] for one in formats] == ["tensorboard", "wandb", "mlflow"]
    wandb = Run.objects.get(pk=formats[1]["run_id"])
    assert (wandb.config, wandb.notes, wandb.status) == ({"lr": 0.1}, "a note", Status.FAILED)
    assert [tag.name for tag in wandb.tags.all()] == ["base-line"]
    assert "base line" in formats[1]["notices"][-1]
    with pytest.raises(CommandError, match="several kinds: tensorboard, wandb"):
        imported(tmp_path)


def test_a_run_that_ends_between_two_imports_is_ended_here(tmp_path):
    path = wandb_file(tmp_path / "run-x.wandb", wandb_run(), wandb_history(1, {"a": 1}))
    imported(path)
    assert Run.objects.get().status == Status.LOST
    wandb_file(path, wandb_run(), wandb_history(1, {"a": 1}), wandb_history(2, {"a": 2}), wandb_exit(0))
    imported(path)
    run = Run.objects.get()
    assert (run.status, run.attempts.get().status, run.step) == (Status.COMPLETED, Status.COMPLETED, 2)


def test_a_copy_beside_its_original_is_refused(tmp_path):
    scalars(tmp_path / "a", [("x", 1, 1.0)])
    scalars(tmp_path / "b", [("x", 1, 1.0)])
    with pytest.raises(CommandError, match="begin with the very same record"):
        imported(tmp_path)
    assert not Run.objects.exists()


def test_what_a_restarted_writer_takes_back_after_an_import_is_refused_not_mixed(tmp_path):
    scalars(tmp_path, [("x", step, 1.0) for step in range(5)])
    imported(tmp_path)
    event_file(tmp_path, restart(3), event(3, simple("x", 2.0)), name="events.out.tfevents.2.host")
    with pytest.raises(CommandError, match="another value of x at step 3"):
        imported(tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tag", "two words"), "'two words' is no tag"),
        (("--tag", "None"), "No tag is called None"),
        (("--format", "wandb"), "byte 0"),
        (("--format", "tensorboard"), "checksum"),
    ],
)
def test_wrong_use_is_named(csv, flags, said):
    with pytest.raises(CommandError, match=said):
        imported(csv("step,loss\n1,1\n" * 9), *flags)


def test_nothing_and_unknown_things_are_named(tmp_path):
    with pytest.raises(CommandError, match="There is nothing at"):
        imported(tmp_path / "missing")
    with pytest.raises(CommandError, match="has no format that is known"):
        imported(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"\0\1")
    with pytest.raises(CommandError, match="has no format that is known"):
        imported(tmp_path / "x.bin")


@pytest.fixture
def foreign(csv):
    """An imported run that failed where it came from."""
    run = Run.objects.get(pk=imported(csv("step,loss\n1,0.5\n2,0.4\n"), "--name", "<b>x</b>")[0]["run_id"])
    Run.objects.filter(pk=run.pk).update(
        status=Status.FAILED, config={"lr": "0.1", "nested": {"a": [1]}, "b": None}
    )
    run.refresh_from_db()
    return run


def test_only_deleting_is_offered_for_an_imported_run(foreign):
    assert [verb.name for verb in offered(foreign, scope="admin")] == ["delete"]


@pytest.mark.parametrize("verb", ["start", "resume", "requeue", "clone", "stop", "priority", "mark_stopped"])
def test_no_other_verb_works_on_it(foreign, verb):
    arguments = {"priority": 1} if verb == "priority" else {}
    with pytest.raises(ConflictError):
        perform(verb_named(verb), foreign, actor=None, **arguments)
    foreign.refresh_from_db()
    assert foreign.status == Status.FAILED


@pytest.mark.jax
def test_it_is_not_what_resume_from_latest_finds(foreign):
    with pytest.raises(CommandError, match="There is no interrupted run"):
        call_command("train", "--resume-from", "latest", "--foreground")


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--foreground"),
        ("generate", "--prompt", "x"),
        ("export_recipe",),
        # Without JAX it says so first.
        pytest.param(("reproduce", "--foreground"), marks=pytest.mark.jax),
    ],
)
def test_commands_that_need_a_recipe_or_checkpoint_say_so(foreign, command):
    name, *flags = command
    with pytest.raises(CommandError) as caught:
        call_command(name, str(foreign.pk), *flags)
    assert str(foreign.pk) in str(caught.value)


def test_its_pages_and_the_api_show_it(client, administrator, foreign):
    client.force_login(administrator)
    other = make_run()
    for path in ("/", "/runs/", f"/runs/{foreign.pk}/", f"/runs/compare/?ids={foreign.pk},{other.pk}"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert "<b>x</b>" not in answer.content.decode()
    page = client.get(f"/runs/{foreign.pk}/").content.decode()
    assert "Imported history" in page
    assert 'data-names="loss"' in page
    assert "<dt>Device</dt>" not in page
    assert "What to do" not in page
    assert "without curves" not in client.get(f"/runs/compare/?ids={foreign.pk},{other.pk}").content.decode()
    assert 'data-names="loss"' in client.get(f"/runs/{foreign.pk}/charts/").content.decode()
    for path in ("", "/metrics", "/checkpoints", "/evaluations", "/samples", "/attempts"):
        assert client.get(f"/api/training/runs/{foreign.pk}{path}").status_code == 200, path
    series = client.get(f"/api/training/runs/{foreign.pk}/metrics?names=loss").json()["series"]
    assert series[0]["value"] == [0.5, 0.4]
    assert client.get(f"/admin/runs/run/{foreign.pk}/change/").status_code == 200


def test_it_can_be_deleted_and_imported_again(foreign, csv):
    perform(verb_named("delete"), foreign)
    assert not MetricPoint.objects.exists()
    assert imported(csv("step,loss\n1,0.5\n2,0.4\n"), "--name", "<b>x</b>")[0]["created"]
