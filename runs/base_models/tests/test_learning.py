"""Adapters beside weights that nobody trained learn to reason, and leave these weights as they are."""

import json

import pytest

pytestmark = [pytest.mark.jax, pytest.mark.long]
pytest.importorskip("jax")
pytest.importorskip("tokenizers")

import numpy as np

from runs.base_models.importing import import_folder
from runs.models import Run
from runs.tests.support import manage_json
from training import bases
from training.hf.families import model_config_from_hf
from training.hf.names import tensors_of
from training.hf.tests.characters import character_files
from training.hf.tests.folders import Stored, fixture_config, model_folder

SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 344,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
}
RECIPE = {
    "sequence_length": 512,
    "batch_size": 8,
    "micro_batch": 0,
    "remat": "none",
    "lora_rank": 32,
    "lora_alpha": 64,
    "learning_rate": 2e-3,
    "final_learning_rate": 1e-4,
    "eval_batch_size": 128,
    "eval_every_steps": 0,
    "save_every_steps": 0,
}


def random_tensors():
    """Draw a llama of that shape as a fresh one is drawn: matrices by their inputs, norms of one."""
    draws, found = np.random.default_rng(0), {}
    for tensor in tensors_of(model_config_from_hf(fixture_config("llama") | SHAPE)):
        if len(tensor.shape) == 1:
            numbers = np.ones(tensor.shape)
        else:
            scale = 0.02 if "embed" in tensor.theirs else tensor.shape[1] ** -0.5
            numbers = draws.normal(0, scale, tensor.shape)
        found[tensor.theirs] = Stored("F32", tensor.shape, numbers.astype(np.float32).tobytes())
    return found


@pytest.mark.usefixtures("process_database")
def test_adapters_on_a_random_base_learn_chains(tmp_path):
    folder = model_folder(
        tmp_path / "random", "llama", config=SHAPE, tensors=random_tensors(), files=character_files()
    )
    row = import_folder(folder).row
    manage_json("seed_dataset", "--dataset=chain-v1", "--count=5000")
    told = manage_json(
        "finetune",
        "random",
        "--dataset=chain-v1",
        "--evaluate-base",
        "--steps=1500",
        "--device=cpu",
        "--foreground",
        *(f"--set={name}={value}" for name, value in RECIPE.items()),
        timeout=3000,
    )
    print(json.dumps(told))
    run = Run.objects.get(pk=told["run_id"])
    assert run.config["method"] == "lora"
    assert told["base_accuracy"] < 0.2
    assert told["accuracy"] > 0.9
    assert told["p_value"] < 1e-6
    manage_json("import_model", "--verify")
    assert bases.find_base(row.reference).record.content_hash == row.content_hash
