"""The model card says where a model comes from and how good it was found to be."""

import json

import pytest

from runs.exporting.card import write_card
from runs.exporting.tests.support import add_checkpoint, add_evaluation, trained_run
from runs.models import Run
from training.bases import find_base
from training.hf.tests.folders import fixture_config
from training.hf.tests.registering import register

pytestmark = pytest.mark.django_db


def base_model(root, **changes):
    """A base model's record and config, which is all that a card needs of it."""
    facts = {"revision": "abc123", "parameters": 1000, "dtype": "BF16", "licence": "apache-2.0", **changes}
    draft = root / "draft"
    draft.mkdir(parents=True)
    (draft / "config.json").write_text(json.dumps(fixture_config("llama")))
    return register(draft, root, **facts)


def facts_in(card):
    rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_it_names_run_data_code_and_results(tmp_path):
    run = trained_run(name="chain | small")
    run.provenance = {
        "git_commit": "0123456789abcdef",
        "git_dirty": True,
        "device": {"device_kind": "a card"},
        "packages": {"jax": "0.9"},
    }
    run.save()
    checkpoint = add_checkpoint(run, tmp_path / "10", params_hash="cd" * 32)
    add_evaluation(run, 10)
    add_evaluation(run, 5, n=99)
    card = write_card(run, checkpoint, format="hf")
    facts = facts_in(card)
    assert run.dataset is not None
    assert facts["run"] == f"{run.pk} ({run.uid}), {run.address}"
    assert facts["checkpoint"] == "step 10 of 10, attempt 1"
    assert facts["params_hash of the checkpoint"] == f"`{'cd' * 32}`"
    assert facts["dataset"] == "`golden-v2`"
    assert facts["content hash of the dataset"] == f"`{run.dataset.content_hash}`"
    assert "commit `0123456789ab`, with uncommitted changes" in facts["code"]
    assert (facts["trained on"], facts["packages"]) == ("a card", "jax 0.9")
    result = next(line for line in card.splitlines() if line.startswith("| 10 |"))
    assert "| 12 | 9 (75.0%) | 46.8% to 91.1% | exact, version 2 | greedy, at most 48 tokens |" in result
    assert "| 99 |" not in card
    assert "# chain \\| small" in card
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-generation\n")
    assert "base_model" not in card
    recipe = json.loads(card.split("```json\n")[1].split("```")[0])
    assert recipe == run.config


def test_a_checkpoint_that_nobody_evaluated_says_so(tmp_path):
    run = trained_run()
    add_evaluation(run, 0)
    card = write_card(run, add_checkpoint(run, tmp_path / "10"), format="hf")
    assert "This checkpoint was not evaluated." in card
    assert 'no chat template: write `"PROMPT\\n"`' in card


def test_of_a_base_it_names_source_revision_licence_and_hash_and_how_it_was_before(tmp_path, settings):
    model = base_model(tmp_path / "artifacts" / "models")
    run = trained_run()
    Run.objects.filter(pk=run.pk).update(
        config={
            **run.config,
            "model": model,
            "method": "qlora",
            "ema_decay": 0.99,
            "reasoning": "think",
            "system_prompt": "Be exact.\nBe brief.",
        }
    )
    run.refresh_from_db()
    add_evaluation(run, 0, correct=1, answer_accuracy=1 / 12)
    add_evaluation(run, 10)
    checkpoint = add_checkpoint(run, tmp_path / "10")
    card = write_card(run, checkpoint, format="hf")
    facts = facts_in(card)
    assert facts["base model"] == "`someone/tiny` at revision `abc123`"
    assert facts["content hash of the base"] == f"`{find_base(model).record.content_hash}`"
    assert facts["licence of the base"] == "apache-2.0"
    assert facts["weights"] == "the moving average, which is what was evaluated"
    assert facts["trained beside"] == "the base in nf4, which merged weights hold"
    assert 'base_model: "someone/tiny"\nbase_model_relation: finetune\nlicense: "apache-2.0"\n' in card
    assert "Step 0 is the model before its first update." in card
    assert "Steps stand between `<think>` and `</think>`." in card
    assert "With this system message:\n\n> Be exact.\n> Be brief.\n" in card
    adapter = write_card(run, checkpoint, format="adapter")
    assert "library_name: peft" in adapter
    assert "base_model_relation: adapter" in adapter
    assert 'AutoModelForCausalLM.from_pretrained("someone/tiny")' in adapter
    assert 'PeftModel.from_pretrained(model, "PATH")' in adapter


def test_a_base_that_came_from_a_folder_is_not_named_as_one_of_the_hub(tmp_path):
    model = base_model(tmp_path / "artifacts" / "models", source="a folder", licence="", revision="")
    run = trained_run()
    Run.objects.filter(pk=run.pk).update(config={**run.config, "model": model, "method": "lora"})
    run.refresh_from_db()
    card = write_card(run, add_checkpoint(run, tmp_path / "10"), format="adapter")
    assert "base_model" not in card
    assert "license" not in card
    assert 'from_pretrained("FOLDER OF THE BASE")' in card
    assert facts_in(card)["base model"] == "`a folder`"
    assert facts_in(card)["licence of the base"] == "not known; see the base"
