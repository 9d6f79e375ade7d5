"""Repeating runs: the verdict, what differs, and what cannot be compared."""

import json

import pytest
from django.core.management import CommandError, call_command

from runs import services
from runs.child_environment import DETERMINISTIC_FLAGS, child_environment
from runs.devices import Device
from runs.ingest import ingest_attempt
from runs.models import Attempt, MetricPoint, Reproduction, Run, Verdict
from runs.reproducing import create_reproduction
from runs.states import Kind, Status
from runs.tests.support import (
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    manage,
    manage_json,
    run_in,
    start,
    with_jax,
)
from runs.tests.training_support import SMOKE
from runs.verdicts import in_words, settle
from tunix_site.errors import ConflictError, InvalidInputError

pytestmark = pytest.mark.django_db

PROVENANCE = {"packages": {"numpy": "0.0.1"}, "device": {"kind": "cpu"}, "python": "3.12"}


def carry_out(run: Run, losses: list[float], params_hash: str = "ab" * 32) -> Run:
    """Let a run train as a child would: one loss a step, provenance, a last word."""
    attempt = start(run)
    recorder = journal(attempt)
    assert run.dataset is not None
    recorder.provenance({**PROVENANCE, "config": run.config, "content_hash": run.dataset.content_hash})
    for step, loss in enumerate(losses, 1):
        recorder.metrics(step, {"train/loss": loss, "train/step_time": step / 7 + run.pk})
    recorder.end("completed", step=len(losses), final_loss=losses[-1], params_hash=params_hash)
    ingest_attempt(attempt)
    finish(attempt)
    return fresh(run)


@pytest.fixture
def run(artifacts_dir):
    return carry_out(make_run(dataset=make_dataset(), config={"steps": 4}), [4.0, 3.0, float("nan"), 2.0])


def repeated(run, losses, params_hash="ab" * 32, **how):
    row = create_reproduction(run, **how)
    carry_out(row.run, losses, params_hash)
    row.refresh_from_db()
    return row


def test_the_same_points_and_parameters_are_bitwise_identical(run):
    row = repeated(run, [4.0, 3.0, float("nan"), 2.0])
    assert (row.verdict, row.identical_until, row.params_hash_equal) == (Verdict.IDENTICAL, 4, True)
    assert row.points_compared == 4
    assert "Bitwise identical in all 4 points" in in_words(row)


def test_a_difference_is_named_with_its_step_and_how_far_it_grew(run):
    row = repeated(run, [4.0, 3.0, float("nan"), 1.0], params_hash="cd" * 32)
    assert (row.verdict, row.identical_until, row.params_hash_equal) == (Verdict.DIFFERS, 3, False)
    assert row.first_difference == {"name": "train/loss", "step": 4, "before": 2.0, "after": 1.0}
    assert "Identical until step 3" in in_words(row)
    assert "0.5 relative apart" in in_words(row)


def test_equal_points_with_other_parameters_are_not_identical(run):
    row = repeated(run, [4.0, 3.0, float("nan"), 2.0], params_hash="cd" * 32)
    assert row.verdict == Verdict.DIFFERS
    assert "the parameters at the end differ" in in_words(row)


def test_a_lost_point_is_a_difference(run):
    row = create_reproduction(run)
    child = carry_out(row.run, [4.0, 3.0, float("nan"), 2.0])
    MetricPoint.objects.filter(run=child, step=2, name="train/loss").delete()
    Reproduction.objects.filter(pk=row.pk).update(verdict=Verdict.PENDING)
    settled = settle(child)
    assert settled is not None
    assert (settled.verdict, settled.identical_until) == (Verdict.DIFFERS, 1)


def test_a_verdict_is_written_once(run):
    row = repeated(run, [4.0, 3.0, float("nan"), 2.0])
    MetricPoint.objects.filter(run=row.run).delete()
    again = settle(row.run)
    assert again is not None
    assert again.verdict == Verdict.IDENTICAL
    assert settle(run) is None


def test_packages_code_and_recipe_that_changed_are_named_before_training(run):
    facts = {**run.provenance, "git_commit": "0" * 40}
    facts["config"] = {**run.config, "learning_rate": 0.5}
    Run.objects.filter(pk=run.pk).update(provenance=facts)
    found = {one["name"]: one for one in create_reproduction(fresh(run)).differences}
    assert found["packages.numpy"]["before"] == "0.0.1"
    assert found["packages.numpy"]["category"] == "packages"
    assert found["config.learning_rate"]["decides"] is True
    assert found["git_commit"]["category"] == "code"


def test_data_that_changed_are_named(run):
    Run.objects.filter(pk=run.pk).update(provenance={**run.provenance, "content_hash": "f" * 64})
    found = {one["name"]: one for one in create_reproduction(fresh(run)).differences}
    assert found["content_hash"]["category"] == "data"
    assert found["content_hash"]["decides"] is True
    assert run.dataset is not None
    run.dataset.members.first().delete()
    with pytest.raises(ConflictError, match="its dataset is not sound"):
        create_reproduction(fresh(run))


def test_what_cannot_be_compared_says_why(run):
    with pytest.raises(ConflictError, match="it is no training"):
        create_reproduction(make_run(kind=Kind.BENCH))
    with pytest.raises(ConflictError, match="it is draft, not ended"):
        create_reproduction(make_run(dataset=run.dataset))
    with pytest.raises(ConflictError, match="its provenance lacks config"):
        create_reproduction(run_in(Status.COMPLETED, dataset=run.dataset))
    Attempt.objects.filter(run=run).update(inexact="micro_batch 4 → 8")
    with pytest.raises(ConflictError, match=r"attempt 1 was resumed inexactly \(micro_batch 4 → 8\)"):
        create_reproduction(run)


def test_a_repeat_that_was_itself_resumed_inexactly_is_not_comparable(run):
    row = create_reproduction(run)
    attempt = start(row.run)
    journal(attempt).resumed(2, "threads 2 → 1")
    journal(attempt).end("completed", step=4, params_hash="ab" * 32)
    ingest_attempt(attempt)
    finish(attempt)
    row.refresh_from_db()
    assert row.verdict == Verdict.NOT_COMPARABLE
    assert "threads 2 → 1" in in_words(row)


def test_a_repeat_that_was_stopped_has_no_verdict_until_it_is_resumed(run):
    row = create_reproduction(run)
    attempt = start(row.run)
    finish(attempt, Status.STOPPED)
    row.refresh_from_db()
    assert row.verdict == Verdict.PENDING
    assert "resume it to get a verdict" in in_words(row)
    services.resume_run(fresh(row.run), deliver=False)


def test_a_part_is_compared_up_to_its_last_step(run):
    row = repeated(run, [4.0, 3.0], to_step=2)
    assert (row.run.total_steps, row.run.params["to_step"]) == (2, 2)
    assert row.run.config == run.config
    assert (row.verdict, row.identical_until, row.params_hash_equal) == (Verdict.IDENTICAL, 2, None)
    assert "Metrics alone" in in_words(row)
    with pytest.raises(InvalidInputError, match="has steps 1 to 4"):
        create_reproduction(run, to_step=5)


def test_the_api_repeats_a_run_and_lists_the_verdicts(run, admin_client, client):
    url = f"/api/training/runs/{run.pk}/reproduc"
    assert client.post(f"{url}e").status_code == 401
    made = admin_client.post(f"{url}e", {"to_step": 2}, "application/json")
    assert made.status_code == 201
    assert (made.json()["verdict"], made.json()["of"]) == ("pending", run.pk)
    assert fresh(Run.objects.get(pk=made.json()["run_id"])).status == Status.QUEUED
    assert admin_client.post(f"{url}e", {"to_step": 0}, "application/json").status_code == 422
    (row,) = admin_client.get(f"{url}tions").json()
    assert row["in_words"].startswith("Not decided yet")


def test_the_pages_show_the_verdict_and_the_button(run, admin_client):
    row = repeated(run, [4.0, 3.0, 1.0, 2.0])
    original = admin_client.get(f"{run.get_absolute_url()}recipe/").content.decode()
    assert "Reproduce</button>" in original
    assert "Identical until step 2" in original
    child = admin_client.get(f"{row.run.get_absolute_url()}recipe/").content.decode()
    assert f'data-both-ids="{run.pk},{row.run_id}"' in child
    assert "train/loss" in child
    admin_client.post(f"/runs/{run.pk}/reproduce/")
    assert Reproduction.objects.filter(of=run).count() == 2
    assert admin_client.post("/runs/999/reproduce/").status_code == 404


def test_a_finished_reproduction_can_be_asked_again(run, capsys):
    row = repeated(run, [4.0, 3.0, 1.0, 2.0])
    with pytest.raises(CommandError) as ended:
        call_command("reproduce", str(row.run_id), "--json")
    assert ended.value.returncode == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["run_id"], said["of"], said["verdict"], said["identical_until"]) == (
        row.run_id, run.pk, "differs", 2,
    )  # fmt: skip


def test_only_a_gpu_run_that_asks_for_it_gets_deterministic_kernels(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine=1")
    card = Device(kind="gpu", uuid="GPU-1", name="a card")
    asked = make_run(device=card, config={"deterministic": True})
    assert child_environment(asked)["XLA_FLAGS"] == " ".join(["--mine=1", *DETERMINISTIC_FLAGS])
    assert child_environment(make_run(device=card))["XLA_FLAGS"] == "--mine=1"
    assert child_environment(make_run(config={"deterministic": True}))["XLA_FLAGS"] == "--mine=1"


@with_jax
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("dataset")
def test_a_real_training_repeats_to_the_bit_and_another_rate_does_not():
    first = manage_json("train", *SMOKE, "--foreground")
    said = manage_json("reproduce", str(first["run_id"]), "--foreground")
    assert (said["verdict"], said["identical_until"], said["params_hash_equal"]) == ("identical", 10, True)
    assert said["differences"] == []
    assert said["points_compared"] > 30
    part = manage_json("reproduce", str(first["run_id"]), "--to-step=6", "--foreground")
    assert (part["verdict"], part["identical_until"]) == ("identical", 6)

    run = Run.objects.get(pk=first["run_id"])
    Run.objects.filter(pk=run.pk).update(config={**run.config, "learning_rate": 0.002})
    other = manage("reproduce", str(run.pk), "--foreground", "--json")
    assert other.returncode == 1
    verdict = json.loads(other.stdout)
    assert (verdict["verdict"], verdict["identical_until"]) == ("differs", 0)
    assert [one["name"] for one in verdict["differences"] if one["decides"]] == ["config.learning_rate"]
