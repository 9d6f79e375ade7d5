"""What the page of a run says of the engine, and recipes that cannot run."""

import pytest

from runs.engine import engine_facts
from runs.ingest import ingest_attempt
from runs.models import Run
from runs.tests.support import finish, fresh, journal, make_run, manage, manage_json, start, with_jax

pytestmark = pytest.mark.django_db

PACKED = {
    "layout": "packed", "rows": 715, "width": 512, "traces": 5000, "real_tokens": 340000, "reach": 68,
    "utilisation": 0.929, "padded_utilisation": 0.944, "dropped": 0, "cut": 0, "cut_tokens": 0,
}  # fmt: skip
MEMORY = {"peak": 3 << 20, "available": 8 << 30, "parameters": 1 << 20, "optimizer": 2 << 20, "average": 0}


def told(facts, points=()):
    attempt = start(make_run())
    recorder = journal(attempt)
    recorder.provenance(facts)
    for step, values in points:
        recorder.metrics(step, values)
    recorder.end("completed", step=10, final_loss=1.0, params_hash="a" * 64)
    ingest_attempt(attempt)
    finish(attempt)
    return {fact.name: fact for fact in engine_facts(fresh(attempt.run))}


def test_a_run_that_recorded_nothing_has_nothing_to_tell():
    assert engine_facts(make_run()) == []


def test_the_layout_of_the_data_is_told_with_what_padding_would_have_used():
    facts = told({"data": PACKED})
    assert facts["Rows"].value == "715 packed rows of 512 positions, 5,000 traces"
    assert facts["Utilisation"].value.startswith("92.9%")
    assert "94.4%" in facts["Utilisation"].note
    padded = told({"data": {**PACKED, "layout": "padded"}})
    assert padded["Utilisation"].note == ""


def test_traces_that_were_cut_or_left_out_are_a_warning():
    facts = told({"data": {**PACKED, "dropped": 174, "cut": 3, "cut_tokens": 900}})
    assert (facts["Traces left out"].value, facts["Traces left out"].warn) == ("174", True)
    assert (facts["Traces cut"].value, facts["Traces cut"].warn) == ("3", True)
    assert "900 tokens" in facts["Traces cut"].note


def test_a_fallback_of_attention_is_a_warning_with_its_reason():
    attention = {"name": "dense", "reason": "no fused kernel runs here", "fallback": True}
    fact = told({"attention": attention})["Attention"]
    assert (fact.value, fact.note, fact.warn) == ("dense", "no fused kernel runs here", True)


def test_memory_and_micro_batches_are_told():
    facts = told({"memory": MEMORY, "micro_batch": 2, "compute_dtype": "float32"})
    assert "3.0\xa0MB at its peak of 8.0\xa0GB" in facts["Memory of an update"].value
    assert "moving average" not in facts["Memory of an update"].note
    assert facts["Batch"].note == "2 rows at once, 4 parts"
    assert facts["Precision"].value == "float32 products"


def test_start_up_and_skipped_updates_come_from_the_metrics():
    once = {"system/lowering_time": 0.5, "system/compile_time": 1.25, "system/first_step_time": 0.125}
    facts = told({}, [(1, once), (2, {"train/skipped_updates": 1.0}), (3, {"train/skipped_updates": 2.0})])
    assert facts["Start-up"].value == "lowering 0.50 s, compiling 1.25 s, first step 0.12 s"
    assert (facts["Skipped updates"].value, facts["Skipped updates"].warn) == ("2", True)


def test_the_page_shows_how_the_run_ran(client, viewer):
    attempt = start(make_run())
    journal(attempt).provenance(
        {"data": PACKED, "attention": {"name": "<i>", "reason": "r", "fallback": True}}
    )
    ingest_attempt(attempt)
    client.force_login(viewer)
    text = str(client.get(f"/runs/{attempt.run.pk}/system/").content, "utf-8")
    assert "How it runs" in text
    assert "715 packed rows" in text
    assert "&lt;i&gt;" in text


RECIPE = (
    "train", "--dataset", "golden-v2", "--device", "cpu", "--model", "nano", "--smoke-steps", "3",
    "--foreground",
)  # fmt: skip


@with_jax
@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_every_choice_of_the_engine_really_runs_and_is_recorded(process_database):
    manage_json("seed_dataset", "--dataset", "golden-v2", "--count", "60")
    choices = [
        ("micro_batch=auto", "ema_decay=0.9", "optimizer=muon", "schedule=wsd", "dropout=0.1"),
        ("packing=false", "micro_batch=1", "remat=block", "scan_layers=true", "optimizer=lion"),
    ]
    for chosen in choices:
        answer = manage_json(*RECIPE, *[f"--set={choice}" for choice in chosen])
        run = Run.objects.get(pk=answer["run_id"])
        assert (run.status, run.step) == ("completed", 3)
        facts = run.provenance
        assert facts["data"]["layout"] == ("packed" if "micro_batch=auto" in chosen else "padded")
        assert 0 < facts["data"]["utilisation"] <= 1
        assert facts["micro_batch"] == (run.config["batch_size"] if "micro_batch=auto" in chosen else 1)
        assert facts["memory"]["peak"] > facts["memory"]["parameters"] > 0


@with_jax
@pytest.mark.long  # what would fit is found by compiling it, again and again
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_a_recipe_that_cannot_run_says_why_in_one_line_and_trains_nothing(process_database):
    manage_json("seed_dataset", "--dataset", "golden-v2", "--count", "60")
    too_large = manage(*RECIPE, "--set=batch_size=65521", "--set=sequence_length=4096", timeout=600)
    assert too_large.returncode == 1
    assert "too much. These would fit: micro_batch=" in too_large.stderr
    no_kernel = manage(*RECIPE, "--set=attention=cudnn")
    assert no_kernel.returncode == 1
    assert "attention=cudnn cannot run here" in no_kernel.stderr
    no_divisor = manage(*RECIPE, "--set=micro_batch=3")
    assert no_divisor.returncode in {1, 2}
    assert "does not divide batch_size=" in no_divisor.stderr
    for answer in (too_large, no_kernel, no_divisor):
        assert "Traceback" not in answer.stdout + answer.stderr
