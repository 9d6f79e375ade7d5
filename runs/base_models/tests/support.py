"""Base models as people have them, small enough for every test."""

from pathlib import Path
from typing import Any

from runs.base_models.importing import import_folder
from runs.models import BaseModel, Run
from runs.models.run import named_base
from runs.tests.support import make_run
from training.hf.tests.folders import model_folder

FILES = {
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"chat_template": "{{ messages }}"}',
    "README.md": "---\ntags:\n- text\nlicense: apache-2.0\n---\n# Tiny\n",
    "LICENSE": "Do as you like, <b>but</b> say who wrote it.",
}


def import_tiny(folder: Path, name: str = "mini", *, family: str = "qwen3", **changes: Any) -> BaseModel:
    """Import a fixture as a base model; ``changes`` are those of `model_folder`."""
    place = model_folder(folder / name, family, **{"files": FILES, **changes})
    return import_folder(place, name=name).row


def run_from(row: BaseModel, **config: Any) -> Run:
    """Write a draft whose frozen config names a base model."""
    run = make_run(name="fine-tune")
    frozen = {**run.config, "model": row.reference, **config}
    Run.objects.filter(pk=run.pk).update(config=frozen, base_hash=named_base(frozen))
    run.refresh_from_db()
    return run
