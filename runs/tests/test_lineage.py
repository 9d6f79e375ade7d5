"""The family of a run, the curves of those it came from, and the pages that make new ones."""

from pathlib import Path

import pytest

from runs.forking import clone_run, fork_run
from runs.ingest import ingest_attempt
from runs.lineage import MAX_SHOWN, lineage
from runs.models import Checkpoint, MetricPoint, Run
from runs.states import Kind, Status
from runs.tests.support import (
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    manage_json,
    run_in,
    start,
    with_jax,
    write_points,
)
from runs.tests.training_support import SMOKE
from training.checkpoints import seal
from training.recorder import CheckpointInfo
from tunix_site.errors import InvalidInputError

pytestmark = pytest.mark.django_db


def trained(run: Run, steps: range, loss: float) -> Run:
    """Let a run record a loss for each step and a checkpoint of the last one."""
    attempt = start(run)
    recorder = journal(attempt)
    for step in steps:
        recorder.metrics(step, {"train/loss": loss})
    partial = Path(run.checkpoint_dir) / ".partial-1-1"
    (partial / "state").mkdir(parents=True)
    (partial / "state" / "data").write_text("weights")
    path = Path(run.checkpoint_dir) / str(steps[-1])
    seal(partial, path, {"step": steps[-1]})
    recorder.checkpoint(CheckpointInfo(steps[-1], str(path), 7, {"step": steps[-1]}))
    ingest_attempt(attempt)
    finish(attempt)
    return fresh(run)


@pytest.fixture
def family(artifacts_dir):
    """A run of 10 steps, its fork from there with another rate, and a fork of that."""
    first = trained(make_run(dataset=make_dataset(), name="first"), range(1, 11), 3.0)
    second = fork_run(first, step=10, changes={"steps": 20, "learning_rate": 0.002}, name="second")
    second = trained(second, range(11, 16), 2.0)
    third = trained(fork_run(second, step=15, changes={"steps": 30}, name="third"), range(16, 21), 1.0)
    return first, second, third


def test_the_tree_begins_with_the_oldest_and_says_what_each_changed(family):
    first, second, third = family
    clone = clone_run(first, changes={"seed": 3})
    for run in family:
        found = lineage(run)
        assert found is not None
        assert (found.root.run, found.shown, found.more) == (first, 4, 0)
        fork, cloned = found.root.children
        assert (fork.run, fork.how) == (second, "from step 10")
        assert fork.changes == ["steps 10 → 20", "learning_rate 0.001 → 0.002"]
        assert (cloned.run, cloned.how, cloned.changes) == (clone, "from its first step", ["seed 0 → 3"])
        (last,) = fork.children
        assert (last.run, last.here) == (third, run == third)


def test_a_clone_that_was_taken_up_from_its_own_checkpoint_is_no_fork(family):
    clone = clone_run(family[0])
    Run.objects.filter(pk=clone.pk).update(resume_path=f"{clone.checkpoint_dir}/5")
    tree = lineage(fresh(clone))
    assert tree is not None
    assert [one.how for one in tree.root.children if one.run == clone] == ["from its first step"]


def test_a_run_without_family_has_none_and_a_large_family_is_cut(family):
    assert lineage(make_run()) is None
    assert lineage(make_run(kind=Kind.BENCH)) is None
    first, _, third = family
    for number in range(MAX_SHOWN):
        clone_run(first, name=str(number))
    found = lineage(third)
    assert found is not None
    assert (found.shown, found.more) == (MAX_SHOWN, 3)
    assert found.root.children[0].children[0].here


def test_a_family_takes_few_queries(family, django_assert_max_num_queries):
    third = Run.objects.get(pk=family[2].pk)
    with django_assert_max_num_queries(8):
        lineage(third)


def test_a_fork_can_be_read_with_the_curves_that_it_came_from(family, admin_client):
    first, second, third = family
    answer = admin_client.get(f"/api/training/runs/{third.pk}/metrics?ancestors=true").json()
    parts = {one.get("run_id"): (one["step"], set(one["value"])) for one in answer["series"]}
    assert parts == {
        None: (list(range(16, 21)), {1.0}),
        second.pk: (list(range(11, 16)), {2.0}),
        first.pk: (list(range(1, 11)), {3.0}),
    }
    alone = admin_client.get(f"/api/training/runs/{third.pk}/metrics").json()
    assert [one["step"] for one in alone["series"]] == [list(range(16, 21))]
    assert "run_id" not in alone["series"][0]


def test_an_ancestor_is_cut_where_the_fork_left_it(family, admin_client):
    first = family[0]
    path = Path(first.checkpoint_dir) / "4"
    (Path(first.checkpoint_dir) / "10").rename(path)
    Checkpoint.objects.filter(run=first).update(step=4, path=str(path))
    early = fork_run(first, step=4, changes={})
    write_points(early, {5: 0.5})
    answer = admin_client.get(f"/api/training/runs/{early.pk}/metrics?ancestors=true").json()
    assert [one["step"] for one in answer["series"]] == [[5], [1, 2, 3, 4]]


def test_what_says_how_one_run_starts_is_not_handed_on(family):
    first = family[0]
    first.params = {"allow_inexact": 1, "recipe": {"sha256": "x"}, "kept": 1}
    assert clone_run(first).params == {"kept": 1}
    assert fork_run(first, step=10, changes={"steps": 11}).params == {"kept": 1}


def test_a_clone_may_change_fields_and_names_wrong_ones(family, admin_client):
    url = f"/api/training/runs/{family[0].pk}/clone"
    made = admin_client.post(url, {"changes": {"seed": 5}, "name": "other"}, "application/json")
    assert made.status_code == 201
    assert Run.objects.get(pk=made.json()["id"]).config["seed"] == 5
    assert admin_client.post(url, content_type="application/json").status_code == 201
    refused = admin_client.post(url, {"changes": {"sead": 5}}, "application/json")
    assert (refused.status_code, "sead" in refused.json()["detail"]) == (422, True)
    with pytest.raises(InvalidInputError, match="learning_rate"):
        clone_run(family[0], changes={"learning_rate": "fast"})


def test_the_page_forks_a_run_and_shows_what_is_wrong(family, admin_client):
    first = family[0]
    url = f"/runs/{first.pk}/fork/"
    assert admin_client.get(url).status_code == 404
    page = admin_client.get(url, {"step": 10}).content.decode()
    assert 'name="field-learning_rate" value="0.001"' in page
    bad = admin_client.post(url, {"step": 10, "field-steps": "x"})
    assert bad.status_code == 200
    assert "steps: Input should be a valid integer" in bad.content.decode()
    assert 'value="x"' in bad.content.decode()
    made = admin_client.post(url, {"step": 10, "field-steps": "12", "field-packing": "True", "name": "mine"})
    run = Run.objects.get(name="mine")
    assert made["Location"] == run.get_absolute_url()
    assert (run.status, run.parent_step, run.config["steps"]) == (Status.DRAFT, 10, 12)


def test_the_page_pins_and_deletes_checkpoints(family, admin_client):
    first = family[0]
    row = Checkpoint.objects.get(run=first)
    url = f"/runs/{first.pk}/checkpoints/{row.pk}/"
    page = admin_client.post(url, {"action": "pin"}, follow=True).content.decode()
    assert f"Step 10 of run {first.pk} is pinned." in page
    page = admin_client.post(url, {"action": "delete"}, follow=True).content.decode()
    assert "is pinned" in page
    admin_client.post(url, {"action": "unpin"})
    page = admin_client.post(url, {"action": "delete"}, follow=True).content.decode()
    assert "Step 10 is deleted" in page
    assert admin_client.post(url, {"action": "sell"}).status_code == 400
    assert admin_client.post("/runs/999/checkpoints/1/", {"action": "pin"}).status_code == 404


def test_a_resume_that_was_refused_as_inexact_can_be_allowed_on_the_page(admin_client):
    run = run_in(Status.FAILED)
    Run.objects.filter(pk=run.pk).update(reason="not be exact: …, or resume with --allow-inexact; …")
    assert "Resume, not exact" in admin_client.get(run.get_absolute_url()).content.decode()
    admin_client.post(f"/runs/{run.pk}/act/", {"action": "resume_inexact"})
    assert fresh(run).params == {"allow_inexact": fresh(run).attempt}
    assert fresh(run).status == Status.QUEUED


def test_overtaken_evaluations_are_hidden_until_asked_for(admin_client):
    attempt = start(make_run(dataset=make_dataset()))
    journal(attempt).evaluation(evaluation_report(10))
    ingest_attempt(attempt)
    finish(attempt, Status.STOPPED)
    attempt = start(fresh(attempt.run))
    journal(attempt).resumed(5)
    journal(attempt).evaluation(evaluation_report(10))
    ingest_attempt(attempt)
    url = f"{attempt.run.get_absolute_url()}evaluations/"
    page = admin_client.get(url).content.decode()
    assert "Show 1 overtaken evaluation" in page
    assert 'class="overtaken"' not in page
    assert 'class="overtaken"' in admin_client.get(url, {"overtaken": "1"}).content.decode()
    api = f"/api/training/runs/{attempt.run.pk}/evaluations"
    assert len(admin_client.get(api).json()) == 1
    old, new = admin_client.get(api, {"superseded": "true"}).json()
    assert (old["superseded"], new["superseded"]) == (True, False)


def test_two_runs_are_compared_in_all_that_is_recorded_around_them(family, admin_client):
    first, second, _ = family
    Run.objects.filter(pk=first.pk).update(provenance={"threads": 2, "git_commit": "a" * 40})
    Run.objects.filter(pk=second.pk).update(provenance={"threads": 1, "git_commit": "a" * 40})
    page = admin_client.get("/runs/compare/", {"ids": first.pk, "with": second.pk}).content.decode()
    assert "What differs around them" in page
    assert "threads" in page
    assert "git_commit" not in page
    same = admin_client.get("/runs/compare/", {"ids": f"{first.pk},{first.pk}"}).content.decode()
    assert "What differs around them" not in same


@with_jax
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("dataset")
def test_a_fork_trains_on_from_its_checkpoint_with_the_changed_recipe():
    said = manage_json("train", *SMOKE, "--foreground")
    run = Run.objects.get(pk=said["run_id"])
    fork = fork_run(run, step=10, changes={"steps": 16, "learning_rate": 0.0005})
    fork.status = Status.FAILED  # so that the command takes it up in the foreground
    fork.save(update_fields=["status"])
    done = manage_json("train", f"--resume-from={fork.pk}", "--foreground")
    assert (done["status"], done["step"]) == ("completed", 16)
    steps = MetricPoint.objects.filter(run=fork, name="train/loss").values_list("step", flat=True)
    assert sorted(steps) == list(range(11, 17))
    attempt = fork.attempts.get()
    assert attempt.start_step == 10
    assert "learning_rate 0.001 → 0.0005" in attempt.inexact
