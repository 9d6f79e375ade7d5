"""The pages of runs in chromium: nothing complains, everything fits, live values change by themselves."""

import pytest

from runs.forking import fork_run
from runs.ingest import ingest_attempt
from runs.models import Attempt, Run
from runs.states import Kind, Status
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    release_device,
    run_in,
    sample,
    start,
)
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = ["phone", "laptop"]
THEMES = ["light", "dark"]
LONG = "WithoutAnySpace" * 18


@pytest.fixture
def finished(tmp_path):
    """A completed training with curves, a spike, a gap and samples."""
    attempt = start(make_run(dataset=make_dataset(), name="finished", config={"steps": 40}))
    recorder = journal(attempt)
    for step in range(1, 41):
        loss = float("nan") if step == 30 else 9.0 if step == 20 else 3.0 / step
        speed = {"train/tokens_per_second": 40_000.0 + step, "train/step_time": 0.1}
        recorder.metrics(
            step, {"train/loss": loss, "train/grad_norm": 1.0, "train/learning_rate": 1e-3, **speed}
        )
    recorder.checkpoint(checkpoint_info(tmp_path, 40))
    wrong = sample(prompt="the wrong one", generated_text=LONG, generated_steps=(LONG,), correct=False)
    recorder.evaluation(evaluation_report(40, samples=(sample(prompt="the right one"), wrong), final=True))
    recorder.metrics(40, {"eval/loss": 0.5, "eval/answer_accuracy": 0.75})
    recorder.provenance({"command": ["python", LONG], "jax": {"version": "0.12"}})
    recorder.end("completed", step=40, final_loss=0.075, params_hash="a" * 64)
    ingest_attempt(attempt)
    finish(attempt)
    return fresh(attempt.run)


@pytest.fixture
def forked(finished):
    """A fork of the completed training that was interrupted, resumed inexactly and overtook points."""
    run = fork_run(finished, step=40, changes={"steps": 60, "learning_rate": 0.002}, name="fork")
    first = start(run)
    for step in range(41, 51):
        journal(first).metrics(step, {"train/loss": 1.0})
    ingest_attempt(first)
    finish(first, Status.FAILED)
    second = start(fresh(run))
    journal(second).resumed(45, "micro_batch 4 → 8")
    for step in range(46, 61):
        journal(second).metrics(step, {"train/loss": 0.5})
    journal(second).provenance({"threads": 2, "installed": ["a==1"], "git_diff": f"+{LONG}"})
    ingest_attempt(second)
    finish(second)
    return fresh(run)


@pytest.fixture
def failed():
    run = run_in(Status.FAILED, name=LONG)
    Run.objects.filter(pk=run.pk).update(error=f"Traceback\n{LONG * 3}", reason="out of memory")
    return fresh(run)


@pytest.fixture
def written():
    """A completed generation of two texts, one of which cannot be broken at a space."""
    settings = {"max_new_tokens": 256, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "samples": 2}
    run = make_run(kind=Kind.GENERATE, total_steps=0, params={"step": 40, "prompt": "7+3*2", **settings})
    short = {"text": "7+3=0\n0*2=0\n#0", "tokens": 15, "stopped_at_eos": True}
    long = {"text": LONG, "tokens": 256, "stopped_at_eos": False}
    result = {**short, "texts": [short, long]}
    Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, result=result)
    return fresh(run)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_every_page_of_runs_fits_its_window(site, operator, finished, failed, written, forked, width, theme):
    draft = make_run()
    paths = {
        "runs": "/runs/",
        "run": f"/runs/{finished.pk}/",
        "run-failed": f"/runs/{failed.pk}/",
        "run-generation": f"/runs/{written.pk}/",
        "run-empty": f"/runs/{draft.pk}/",
        "run-fork": f"/runs/{forked.pk}/",
        "run-fork-form": f"/runs/{finished.pk}/fork/?step=40",
        "compare-two": f"/runs/compare/?ids={finished.pk},{forked.pk}",
        "compare": f"/runs/compare/?ids={finished.pk},{failed.pk},{draft.pk}",
        "benchmarks": "/benchmarks/",
    }
    page = site.open("/runs/", user=operator, theme=theme, width=width)
    for name, path in paths.items():
        page.goto(path)
        site.settle(page)
        assert fits(page), path
        shoot(page, f"{name}-{width}-{theme}")


def test_the_list_without_runs_is_a_page_too(site, viewer):
    page = site.open("/runs/", user=viewer)
    assert "There are no runs yet" in page.inner_text("main")


def test_the_curves_of_a_run_are_drawn_with_every_number_at_hand(site, viewer, finished):
    page = site.open(f"/runs/{finished.pk}/", user=viewer)
    page.locator(".chart-note").first.wait_for(state="attached")
    first = page.locator("section[aria-label=Curves] .card").first
    first.get_by_text("not finite").first.wait_for(state="attached")
    assert "step 30" in first.inner_text()


def test_overtaken_points_and_the_parents_curve_are_drawn_on_demand(site, viewer, finished, forked):
    page = site.open(f"/runs/{forked.pk}/charts/", user=viewer)
    note = page.locator(".chart-note").first
    page.get_by_text("train/loss: 20 of 20 points").or_(page.get_by_text("20 of 20 points")).first.wait_for()
    assert "overtaken" not in note.inner_text()
    page.get_by_label("Show 5 overtaken points").press("Space")
    page.get_by_text("train/loss, overtaken in attempt 1: 5 of 5 points").first.wait_for()
    page.get_by_label(f"Prepend the curve of run {finished.pk}").check()
    page.get_by_text(f"train/loss, run {finished.pk}: 40 of 40 points").first.wait_for()
    page.get_by_label("Show 5 overtaken points").uncheck()
    page.get_by_text("overtaken in attempt 1").first.wait_for(state="detached")


def test_an_operator_forks_from_a_checkpoint_on_the_page(site, operator, finished):
    page = site.open(f"/runs/{finished.pk}/checkpoints/", user=operator)
    page.get_by_role("link", name="Fork from step 40").click()
    page.get_by_label("steps", exact=True).fill("40")
    page.get_by_role("button", name="Leave it a draft").click()
    page.get_by_text("leaves nothing to do after step 40").wait_for()
    page.get_by_label("steps", exact=True).fill("50")
    page.get_by_role("button", name="Leave it a draft").click()
    page.get_by_text("from step 40; steps 40 → 50").wait_for()
    assert Run.objects.get(parent=finished).config["steps"] == 50


def test_a_live_run_shows_new_values_without_being_loaded_again(site, viewer):
    run = run_in(Status.RUNNING, dataset=make_dataset())
    attempt = Attempt.objects.select_related("run").get()
    recorder = journal(attempt)
    recorder.metrics(2, {"train/loss": 2.5})
    ingest_attempt(attempt)
    page = site.open(f"/runs/{run.pk}/", user=viewer)
    page.evaluate("window.stayed = true")
    latest = page.locator('[data-latest="train/loss"]').first
    assert latest.inner_text() == "2.5"
    site.settle(page)
    recorder.phase("evaluating", 3)
    recorder.metrics(3, {"train/loss": 0.125})
    ingest_attempt(attempt)
    page.locator('[data-latest="train/loss"]', has_text="0.125").first.wait_for()
    page.locator("[data-progress-text]", has_text="step 3 of 10").wait_for()
    assert page.inner_text("[data-phase]") == "evaluating"
    assert page.evaluate("window.stayed")
    recorder.end("completed", step=10, final_loss=0.125)
    ingest_attempt(attempt)
    finish(attempt)
    page.locator('[data-run][data-alive="false"]').wait_for(state="attached")
    assert page.inner_text("[data-status-badge]") == "completed"
    assert page.evaluate("window.stayed === undefined")


def test_the_state_of_live_runs_in_the_list_changes_by_itself(site, viewer):
    run = run_in(Status.RUNNING)
    page = site.open("/runs/", user=viewer)
    attempt = Attempt.objects.get()
    finish(attempt, Status.STOPPED)
    row = page.locator(f'tr[data-run-id="{run.pk}"]')
    row.locator(".badge-stopped").wait_for()
    assert row.get_attribute("data-alive") == "false"


def test_two_runs_are_chosen_and_compared(site, viewer, finished):
    other = make_run(config={"learning_rate": 0.0077})
    page = site.open("/runs/", user=viewer)
    button = page.get_by_role("button", name="Compare chosen runs")
    assert button.is_disabled()
    page.get_by_label(f"Choose run {finished.pk} to compare").check()
    assert button.is_disabled()
    page.get_by_label(f"Choose run {other.pk} to compare").check()
    button.click()
    page.wait_for_url("**/runs/compare/?ids=*")
    site.settle(page)
    assert "0.0077" in page.inner_text("main")
    assert page.get_by_text("batch_size", exact=True).count() == 0
    page.locator("#config").get_by_role("link", name="Show all").click()
    page.get_by_text("batch_size", exact=True).first.wait_for()


def test_an_operator_stops_a_run_from_its_page(site, operator):
    run = run_in(Status.RUNNING)
    page = site.open(f"/runs/{run.pk}/", user=operator)
    page.get_by_role("button", name="Stop with a checkpoint").click()
    page.get_by_text(f"Run {run.pk} is stopping.").wait_for()
    assert fresh(run).status == Status.STOPPING


def test_an_operator_starts_runs_in_the_admin(site, make_user):
    olga = make_user("olga", "operator", is_staff=True)
    draft = make_run()
    release_device()
    page = site.open("/admin/runs/run/", user=olga)
    page.locator("input.action-select").first.check()
    page.locator("select[name=action]").select_option("start")
    page.get_by_role("button", name="Run", exact=False).or_(page.locator("button[name=index]")).first.click()
    page.get_by_text(f"Run {draft.pk} is queued.").wait_for()
    assert fresh(draft).status == Status.QUEUED
    assert fits(page)
