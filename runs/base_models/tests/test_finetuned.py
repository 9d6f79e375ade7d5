"""One command from a base model to the comparison with what it was."""

import pytest

pytestmark = [pytest.mark.jax, pytest.mark.long]
pytest.importorskip("jax")
pytest.importorskip("tokenizers")

from runs.base_models.before_after import before_after
from runs.base_models.importing import import_folder
from runs.models import Run
from runs.tests.support import make_dataset, manage_json
from training.hf.tests.characters import character_files
from training.hf.tests.folders import model_folder
from training.hf.tests.support import CHATML

SMALL = ("sequence_length=256", "lora_rank=2", "final_eval_limit=3", "max_new_tokens=4", "scan_layers=true")


@pytest.mark.usefixtures("process_database")
def test_one_command_trains_adapters_and_compares_with_the_base_model(tmp_path, client, viewer):
    folder = model_folder(tmp_path / "qtiny", "qwen3", files=character_files(CHATML))
    row = import_folder(folder).row
    make_dataset(count=40)
    told = manage_json(
        "finetune",
        "qtiny",
        "--dataset=golden-v2",
        "--evaluate-base",
        "--steps=2",
        "--device=cpu",
        "--foreground",
        *(f"--set={one}" for one in SMALL),
        timeout=400,
    )
    run = Run.objects.get(pk=told["run_id"])
    assert (told["status"], told["step"]) == ("completed", 2)
    assert (run.config["model"], run.config["method"]) == (row.reference, "lora")
    assert [one.step for one in run.evaluations.order_by("step")] == [0, 2]
    found = before_after(run)
    assert found is not None
    assert found.counts.n == 3
    assert (told["base_accuracy"], told["accuracy"]) == (found.accuracy_before, found.accuracy_after)
    assert told["p_value"] == found.counts.p_value
    client.force_login(viewer)
    assert found.labels == ("Base model", "Fine-tuned")
    assert "Before and after" in str(client.get(f"/runs/{run.pk}/").content, "utf-8")
