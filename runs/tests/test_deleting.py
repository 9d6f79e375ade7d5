"""Deleting a run: all of it or nothing, and never anything else."""

import json
import os
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from runs import checkpointing, services
from runs.deleting import delete_run
from runs.forking import clone_run, fork_run
from runs.models import Attempt, Benchmark, Checkpoint, Evaluation, MetricPoint, Run, Sample
from runs.own_files import PREFIX, SetAside
from runs.states import Kind, Status
from runs.tests.control_support import checkpoint_row
from runs.tests.support import (
    evaluation_report,
    fresh,
    journal,
    make_run,
    release_device,
    run_in,
    write_points,
)
from tunix_site.errors import ConflictError, NotFoundError, UserError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(artifacts_dir):
    """A completed training with points, a log, a checkpoint and an evaluation by another run."""
    done = run_in(Status.COMPLETED, config={"steps": 20})
    write_points(done, dict.fromkeys(range(1, 21), 1.0))
    done.attempt_directory(1).mkdir(parents=True, exist_ok=True)
    (done.attempt_directory(1) / "log.txt").write_text("x" * 1000)
    checkpoint_row(done, Path(done.checkpoint_dir), 5)
    grader = run_in(Status.COMPLETED, kind=Kind.EVALUATE, parent=done)
    evaluation = Evaluation.objects.create(
        run=done, made_by=grader, attempt=1, step=5, split="test", n=1, correct=1, answer_accuracy=1.0,
        interval_low=0.2, interval_high=1.0, seconds=1.0, generated_tokens=3, created_at=timezone.now(),
    )  # fmt: skip
    Sample.objects.create(
        evaluation=evaluation, position=0, trace_hash="a", prompt="p", expected_answer="1",
        generated_text="1", answer="1", correct=True, rule="exact",
    )  # fmt: skip
    return fresh(done)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_nothing_of_it_is_left_and_the_freed_bytes_are_told(run, artifacts_dir, operator):
    other = run_in(Status.COMPLETED)
    write_points(other, {1: 1.0})
    checkpoint_row(other, Path(other.checkpoint_dir), 5)
    before = sum(path.stat().st_size for path in artifacts_dir.rglob("*") if path.is_file())
    number, folder = run.pk, Path(run.checkpoint_dir)
    freed = delete_run(run, actor=operator)
    after = sum(path.stat().st_size for path in artifacts_dir.rglob("*") if path.is_file())
    assert freed == before - after > 1000
    assert list(Run.objects.all()) == [other]
    assert set(MetricPoint.objects.values_list("run", flat=True)) == {other.pk}
    assert not Evaluation.objects.exists()
    assert not Sample.objects.exists()
    assert Attempt.objects.get().run == other
    assert not folder.exists()
    assert not (artifacts_dir / "runs" / str(number)).exists()
    assert list(artifacts_dir.rglob(f"{PREFIX}*")) == []
    line = AuditEvent.objects.get(action="run.deleted")
    assert (line.target_id, line.actor_name, line.detail["freed_bytes"]) == (str(number), "operator", freed)


def test_a_benchmark_takes_its_record_and_profiles_with_it(artifacts_dir):
    run = run_in(Status.COMPLETED, kind=Kind.BENCH)
    row = Benchmark.objects.create(
        run=run, record={}, device_name="d", model="nano", batch_size=1, sequence_length=1, precision="fp32",
        step_time_median=1.0, tokens_per_second=1.0, created_at=timezone.now(),
    )  # fmt: skip
    record = artifacts_dir / "benchmarks" / f"{row.pk}.json"
    profile = artifacts_dir / "profiles" / str(run.pk) / "trace"
    for path in (record, profile):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({}))
    delete_run(run, actor=None)
    assert not record.exists()
    assert not profile.parent.exists()


@pytest.mark.parametrize("status", [Status.QUEUED, Status.STARTING, Status.RUNNING, Status.STOPPING])
def test_a_run_that_is_alive_stays(status):
    run = run_in(status)
    with pytest.raises(ConflictError, match="Stop it first"):
        delete_run(run, actor=None)
    assert fresh(run).status == status


@pytest.mark.parametrize(
    "status", [Status.DRAFT, Status.STOPPED, Status.FAILED, Status.LOST, Status.COMPLETED]
)
def test_a_run_at_rest_goes(status):
    delete_run(run_in(status), actor=None)
    assert not Run.objects.exists()


def test_a_living_evaluation_of_it_keeps_it(run):
    grader = run_in(Status.RUNNING, kind=Kind.EVALUATE, parent=run)
    with pytest.raises(ConflictError, match=rf"Run {grader.pk} \(evaluation of it\) is running"):
        delete_run(run, actor=None)


def test_what_other_trainings_came_from_stays_until_they_are_gone(run):
    fork, clone = fork_run(run, step=5, changes={}), clone_run(run)
    with pytest.raises(ConflictError, match=f"run {fork.pk}, run {clone.pk} came from.*Delete those first"):
        delete_run(run, actor=None)
    delete_run(clone, actor=None)
    delete_run(fork, actor=None)
    delete_run(run, actor=None)


def test_a_checkpoint_that_another_run_is_to_start_from_stays(run):
    waiting = make_run(resume_path=Checkpoint.objects.get(run=run).path)
    with pytest.raises(ConflictError, match=f"Run {waiting.pk} .draft. is to start from"):
        delete_run(run, actor=None)


def test_a_pinned_checkpoint_keeps_its_run_until_it_is_unpinned(run):
    row = Checkpoint.objects.get(run=run)
    checkpointing.pin(row, pinned=True)
    with pytest.raises(ConflictError, match=f"step 5.*unpin {run.pk} --step 5"):
        delete_run(run, actor=None)
    checkpointing.pin(row, pinned=False)
    delete_run(run, actor=None)


def test_a_run_whose_files_lie_elsewhere_is_deleted_there(run):
    Run.objects.filter(pk=run.pk).update(store="another")
    with pytest.raises(ConflictError, match="another host"):
        delete_run(fresh(run), actor=None)


def test_rows_that_resist_bring_the_folders_back(run, artifacts_dir):
    before = files(artifacts_dir)
    audits = AuditEvent.objects.count()
    if connection.vendor == "sqlite":
        resist = "CREATE TRIGGER resist BEFORE DELETE ON runs_checkpoint BEGIN SELECT RAISE(ABORT, 'no'); END"
    else:
        resist = (
            "CREATE FUNCTION say_no() RETURNS trigger AS $$ BEGIN RAISE integrity_constraint_violation; "
            "END $$ LANGUAGE plpgsql; CREATE TRIGGER resist BEFORE DELETE ON runs_checkpoint FOR EACH ROW "
            "EXECUTE FUNCTION say_no()"
        )
    with connection.cursor() as cursor:
        cursor.execute(resist)
    with pytest.raises(ConflictError, match="still there"):
        delete_run(run, actor=None)
    assert files(artifacts_dir) == before
    assert fresh(run).phase != "deleting"
    assert MetricPoint.objects.filter(run=run).count() == 20
    assert AuditEvent.objects.count() == audits


def test_a_folder_that_cannot_be_renamed_leaves_everything_as_it_was(run, artifacts_dir, monkeypatch):
    before = files(artifacts_dir)
    real, place = Path.rename, Path(run.checkpoint_dir)

    def rename(self: Path, target: Path) -> Path:
        if self == place:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, target)

    # The system's answer for a folder of another owner; tests may run as root, whom nothing stops.
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(UserError, match=r"still there.*Permission denied"):
        delete_run(run, actor=None)
    assert files(artifacts_dir) == before
    assert MetricPoint.objects.filter(run=run).count() == 20


def test_a_run_that_was_started_meanwhile_stays(run):
    stale = Run.objects.get(pk=run.pk)
    Run.objects.filter(pk=run.pk).update(status=Status.STOPPED)
    services.enqueue_run(fresh(run))
    with pytest.raises(ConflictError, match="at work again"):
        delete_run(stale, actor=None)
    assert Path(run.checkpoint_dir).is_dir()


def test_a_run_that_was_deleted_meanwhile_is_told(run):
    stale = Run.objects.get(pk=run.pk)
    delete_run(run, actor=None)
    with pytest.raises(NotFoundError, match="gone already"):
        delete_run(stale, actor=None)


def test_a_deletion_that_was_killed_half_way_is_made_up_for(run):
    aside = SetAside()
    aside.take(run)
    assert not Path(run.checkpoint_dir).exists()
    assert delete_run(run, actor=None) > 1000
    assert not any(place.exists() for _, place in aside.moved)


class TestOddCheckpointFolders:
    def point_to(self, run: Run, folder: Path) -> Run:
        Run.objects.filter(pk=run.pk).update(checkpoint_dir=str(folder))
        return fresh(run)

    def test_a_link_is_not_followed(self, run, tmp_path):
        precious = tmp_path / "precious"
        (precious / "5").mkdir(parents=True)
        (precious / "5" / "weights").write_text("w")
        link = tmp_path / str(run.pk)
        link.symlink_to(precious)
        delete_run(self.point_to(run, link), actor=None)
        assert (precious / "5" / "weights").exists()

    def test_a_link_inside_is_not_followed(self, run, tmp_path):
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("w")
        Path(run.checkpoint_dir, "9").symlink_to(precious)
        delete_run(run, actor=None)
        assert (precious / "file").exists()
        assert not Path(run.checkpoint_dir, "5").exists()

    def test_a_linked_folder_of_logs_loses_its_link_alone(self, run, tmp_path):
        precious = tmp_path / "logs"
        run.directory.rename(precious)
        run.directory.symlink_to(precious)
        delete_run(run, actor=None)
        assert (precious / "attempt-1" / "log.txt").exists()
        assert not os.path.lexists(run.directory)

    @pytest.mark.parametrize("name", ["", "relative", "."])
    def test_what_is_no_absolute_folder_of_its_own_is_left(self, run, tmp_path, monkeypatch, name):
        (tmp_path / "relative").mkdir()
        (tmp_path / "relative" / "file").write_text("x")
        monkeypatch.chdir(tmp_path)
        delete_run(self.point_to(run, Path(name)) if name else self.point_to_nothing(run), actor=None)
        assert (tmp_path / "relative" / "file").exists()

    def point_to_nothing(self, run: Run) -> Run:
        Run.objects.filter(pk=run.pk).update(checkpoint_dir="")
        return fresh(run)

    def test_a_folder_of_another_name_is_left_and_named(self, run, tmp_path):
        shared = tmp_path / "shared"
        (shared / "5").mkdir(parents=True)
        delete_run(self.point_to(run, shared), actor=None)
        assert (shared / "5").is_dir()
        assert "not named after the run" in AuditEvent.objects.get(action="run.deleted").detail["left"][0]

    def test_a_folder_that_holds_the_artifacts_is_left(self, run, tmp_path, settings):
        place = tmp_path / str(run.pk)
        settings.TUNIX_ARTIFACTS_DIR = place / "artifacts"
        (place / "artifacts").mkdir(parents=True)
        Run.objects.update(store="")
        delete_run(self.point_to(run, place), actor=None)
        assert (place / "artifacts").is_dir()

    def test_other_files_beside_the_checkpoints_stay(self, run):
        (Path(run.checkpoint_dir) / "notes.md").write_text("mine")
        delete_run(run, actor=None)
        assert [path.name for path in Path(run.checkpoint_dir).iterdir()] == ["notes.md"]

    def test_another_runs_folder_below_it_keeps_it(self, run):
        other = make_run()
        below = Path(run.checkpoint_dir) / str(other.pk)
        below.mkdir()
        Run.objects.filter(pk=other.pk).update(checkpoint_dir=str(below))
        delete_run(run, actor=None)
        assert below.is_dir()

    def test_neighbours_in_a_shared_parent_stay(self, run, artifacts_dir):
        # 1 and 12 begin alike.
        neighbour = Path(f"{run.checkpoint_dir}2")
        (neighbour / "5").mkdir(parents=True)
        delete_run(run, actor=None)
        assert (neighbour / "5").is_dir()
        assert (artifacts_dir / "checkpoints").is_dir()


def test_an_evaluation_alone_goes_without_the_training_that_it_graded(run):
    grader = Run.objects.get(kind=Kind.EVALUATE)
    delete_run(grader, actor=None)
    assert Run.objects.get() == run
    assert not Evaluation.objects.exists()


def test_many_points_are_deleted_by_few_statements(run, django_assert_max_num_queries):
    for name in ("a", "b", "c"):
        write_points(run, dict.fromkeys(range(5000), 1.0), name=name)
    with django_assert_max_num_queries(90):
        delete_run(run, actor=None)
    assert not MetricPoint.objects.exists()


def test_a_journal_of_a_lost_run_goes_too(artifacts_dir):
    run = run_in(Status.RUNNING)
    journal(run.attempts.get()).evaluation(evaluation_report(5))
    release_device()
    Run.objects.filter(pk=run.pk).update(status=Status.LOST)
    delete_run(fresh(run), actor=None)
    assert not run.directory.exists()
