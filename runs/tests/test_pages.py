"""The pages of runs: what they show, that they escape it, and what they cost."""

import datetime as dt

import pytest
from django.utils import timezone
from django.utils.html import escape

from runs.ingest import ingest_attempt
from runs.models import Benchmark, Checkpoint, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.control_support import queued
from runs.tests.support import (
    checkpoint_info,
    evaluation_report,
    finish,
    fresh,
    journal,
    make_dataset,
    make_run,
    run_in,
    sample,
    start,
    write_points,
)
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(url: str, code: int = 200, /, **query: str) -> str:
        return page_text(client.get(url, query_params=query), code)

    return read


@pytest.fixture
def finished(tmp_path):
    attempt = start(make_run(dataset=make_dataset(), name=WILD))
    recorder = journal(attempt)
    for step in range(1, 11):
        recorder.metrics(step, {"train/loss": 1.25, "train/tokens_per_second": 12345.0})
    recorder.checkpoint(checkpoint_info(tmp_path, 10))
    wrong = sample(prompt="which?", generated_text=WILD, generated_steps=(WILD, "more"), correct=False)
    recorder.evaluation(evaluation_report(10, samples=(sample(), wrong), final=True))
    recorder.provenance({"jax": {"version": "0.12"}, "devices": ["cpu"]})
    recorder.end("completed", step=10, final_loss=1.25, params_hash="a" * 64)
    ingest_attempt(attempt)
    finish(attempt)
    return fresh(attempt.run)


def test_the_list_without_runs_names_the_next_commands(page):
    text = page("/runs/")
    assert "seed_dataset --dataset chain-v1" in text
    assert "train --dataset chain-v1" in text


def test_the_list_shows_progress_device_and_what_was_learned(page, finished):
    text = page("/runs/")
    assert f'href="/runs/{finished.pk}/"' in text
    assert "10 / 10" in text
    assert "75.0 %" in text
    assert "n&nbsp;=&nbsp;12" in text
    assert "golden-v2" in text


def test_the_list_is_filtered_and_says_when_nothing_fits(page, finished):
    draft = make_run(name="a draft")
    assert "a draft" in page("/runs/", status="draft")
    assert f'data-run-id="{draft.pk}"' not in page("/runs/", status="completed")
    assert "No run fits this filter" in page("/runs/", kind="bench")
    assert f'data-run-id="{draft.pk}"' in page("/runs/", status="nonsense", page="99999")


def test_queued_runs_without_a_worker_bring_a_word_about_it(page):
    run = queued()
    assert "make worker" in page("/runs/")
    assert "make worker" in page(f"/runs/{run.pk}/")


@pytest.mark.parametrize("path", ["/runs/", "/runs/?page=2"])
def test_fifty_runs_cost_a_fixed_number_of_queries(page, path, django_assert_max_num_queries):
    dataset = make_dataset()
    for _ in range(60):
        run = make_run(dataset=dataset)
        Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED)
    with django_assert_max_num_queries(10):
        page(path)


def generated(result, **params):
    run = make_run(kind=Kind.GENERATE, params={"step_dir": "/x", "step": 10, "prompt": WILD, **params})
    Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, result=result)
    return f"/runs/{run.pk}/"


def test_a_generation_shows_each_text_and_how_it_was_drawn(page):
    texts = [
        {"text": "7+3=0\n#0", "tokens": 9, "stopped_at_eos": True},
        {"text": WILD, "tokens": 1, "stopped_at_eos": False},
    ]
    decoding = {"max_new_tokens": 5, "temperature": 0.75, "top_k": 40, "seed": 1234, "samples": 2}
    text = page(generated({**texts[0], "texts": texts}, **decoding))
    for fact in ("7+3=0\n#0", "Text 2 of 2", "9 tokens, ended by itself", "1 token, cut at the limit"):
        assert fact in text
    assert text.count(escape(WILD)) == 2
    assert WILD not in text
    for name, value in (("temperature", "0.75"), ("top-k", "40"), ("seed", "1234"), ("top-p", "1.0")):
        assert f'<dt class="mono">{name}</dt><dd>{value} ' in text


def test_a_generation_of_a_single_text_shows_it(page):
    text = page(generated({"text": "the only one", "tokens": 12, "stopped_at_eos": True}, max_new_tokens=5))
    assert "the only one" in text
    assert "Text 1 of" not in text


def test_a_completed_run_shows_everything_that_it_left(page, finished):
    text = page(f"/runs/{finished.pk}/")
    for fact in (
        "a" * 64,
        finished.dataset.content_hash[:12],
        "95 % interval 46.8 % – 91.1 %, n = 12",
        "12,345",
        "2.0 KiB",
        "which?",
        "completed",
        'data-names="train/loss"',
    ):
        assert fact in text, fact
    assert 'data-alive="false"' in text
    assert "jax.version" in page(f"/runs/{finished.pk}/provenance/")
    assert "learning_rate" in page(f"/runs/{finished.pk}/config/")


def test_what_people_and_models_wrote_is_text_and_never_markup(page, finished):
    pages = ["/runs/", f"/runs/{finished.pk}/", f"/runs/compare/?ids={finished.pk}"]
    for path in pages:
        text = page(path)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "<bdi" in text
        assert "🦜" in text


def test_a_failed_run_says_why_and_shows_its_last_lines(page):
    run = run_in(Status.FAILED)
    Run.objects.filter(pk=run.pk).update(reason="out of <memory>", error="Traceback\n<b>line</b>")
    text = page(f"/runs/{run.pk}/")
    assert "Out of &lt;memory&gt;" in text
    assert "&lt;b&gt;line&lt;/b&gt;" in text


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("kind", list(Kind))
def test_an_empty_run_of_every_kind_and_state_can_be_opened(page, status, kind):
    run = run_in(status, kind=kind)
    assert f"Run {run.pk}" in page(f"/runs/{run.pk}/")


def test_a_huge_name_a_lost_checkpoint_and_numbers_that_are_none_break_nothing(page, finished, tmp_path):
    Run.objects.filter(pk=finished.pk).update(name="W" * 300, final_loss=None)
    (tmp_path / "10").rmdir()
    write_points(finished, {11: None, 12: 1e-30})
    Evaluation.objects.update(loss=None, step_accuracy=None)
    Checkpoint.objects.update(metadata={})
    for tab in ("", "checkpoints/"):
        text = page(f"/runs/{finished.pk}/{tab}")
        assert "missing on disk" in text
        assert "W" * 300 in text
    page("/runs/")


def test_a_run_that_is_not_there_is_not_found(page):
    page("/runs/4711/", 404)
    page("/runs/99999999999999999999/", 404)


def test_a_detail_page_costs_a_bounded_number_of_queries(page, finished, django_assert_max_num_queries):
    for _ in range(10):
        make_run(parent=finished)
    with django_assert_max_num_queries(25):
        page(f"/runs/{finished.pk}/")


def test_runs_are_laid_side_by_side(page, finished):
    other = make_run(config={"learning_rate": 0.0077})
    text = page("/runs/compare/", ids=f"{finished.pk},{other.pk}")
    assert "0.0077" in text
    assert f'data-compare-ids="{finished.pk},{other.pk}"' in text
    assert "golden-v2" in text


def test_comparing_names_what_is_missing_and_bears_nonsense(page, finished):
    assert "4711" in page("/runs/compare/", ids=f"{finished.pk},4711")
    for ids in ("", "x,y", "٣", "-1", "9" * 40, ",,,"):
        assert "Compare runs" in page("/runs/compare/", ids=ids)
    twice = page("/runs/compare/", ids=f"{finished.pk},{finished.pk}")
    assert f'data-compare-ids="{finished.pk}"' in twice


def test_benchmarks_are_listed_also_those_of_an_older_shape(page):
    assert "manage.py bench" in page("/benchmarks/")
    for record in (
        {},
        {"step_time": {"p10": 0.01, "p90": 0.02}, "examples_per_second": 7.0, "compile_s": 1.5},
    ):
        Benchmark.objects.create(
            run=make_run(kind=Kind.BENCH, name=WILD),
            record=record,
            device_name="a card",
            model="nano",
            batch_size=4,
            sequence_length=64,
            precision="fp32",
            step_time_median=0.015,
            tokens_per_second=54321.0,
            created_at=timezone.now(),
        )
    text = page("/benchmarks/")
    assert "54,321" in text
    assert "a card" in text
    assert "&lt;script&gt;" in text


def test_an_operator_acts_on_the_page_and_is_told_what_happened(client, operator):
    client.force_login(operator)
    run = run_in(Status.RUNNING)
    path = f"/runs/{run.pk}/act/"
    assert "Stop with a checkpoint" in str(client.get(f"/runs/{run.pk}/").content, "utf-8")
    answer = client.post(path, {"action": "stop"}, follow=True)
    assert f"Run {run.pk} is stopping." in str(answer.content, "utf-8")
    answer = client.post(path, {"action": "resume"}, follow=True)
    assert "can be resumed" in str(answer.content, "utf-8")
    answer = client.post(path, {"action": "clone"}, follow=True)
    clone = Run.objects.latest("id")
    assert answer.redirect_chain[-1][0] == f"/runs/{clone.pk}/"
    client.post(f"/runs/{clone.pk}/act/", {"action": "start"})
    assert fresh(clone).status == Status.QUEUED
    assert client.post(path, {"action": "explode"}).status_code == 400
    assert client.get(path).status_code == 405
    assert client.post("/runs/4711/act/", {"action": "stop"}).status_code == 404


def test_a_viewer_sees_no_buttons_and_may_not_act(client, viewer):
    client.force_login(viewer)
    run = run_in(Status.RUNNING)
    assert b'name="action"' not in client.get(f"/runs/{run.pk}/").content
    assert client.post(f"/runs/{run.pk}/act/", {"action": "stop"}).status_code == 403
    assert fresh(run).status == Status.RUNNING


def test_a_run_at_work_that_shows_no_life_says_so(page):
    run = run_in(Status.RUNNING)
    address = run.get_absolute_url()
    assert "No sign of life" not in page(address)
    Run.objects.update(heartbeat_at=timezone.now() - dt.timedelta(minutes=5))
    assert "No sign of life since" in page(address)
    Run.objects.update(status=Status.LOST)
    assert "No sign of life" not in page(address)
