"""Base models in the trials of all pages: used by runs, with files that are gone, and very many."""

import shutil
from pathlib import Path

from django.utils import timezone

from runs.base_models.tests.support import import_tiny, run_from
from runs.models import BaseModel, ModelImport
from training import bases


def model_pages(folder: Path) -> dict[str, str]:
    """The addresses of a model that runs use; beside it one that is being fetched."""
    row = import_tiny(folder / "models", "qwen3-tiny", shards=3, dtype="BF16")
    for method in ("lora", "qlora", "full"):
        run_from(row, method=method)
    ModelImport.objects.create(
        repository="Qwen/Qwen3-0.6B",
        status="running",
        doing="fetching model.safetensors",
        bytes_done=400_000_000,
        bytes_total=1_503_300_328,
        heartbeat_at=timezone.now(),
    )
    return {"models-used": "/models/", "model": row.get_absolute_url()}


def failed_model_pages(folder: Path) -> dict[str, str]:
    """The addresses of a model whose files are gone, beside an import that failed."""
    row = import_tiny(folder / "models", "bare", family="llama", files={})
    shutil.rmtree(bases.root() / row.content_hash)
    ModelImport.objects.create(
        repository="meta-llama/Llama-3.2-1B",
        status="failed",
        error="meta-llama/Llama-3.2-1B is gated: its owners ask you to accept their terms first.",
    )
    return {"models-failed": "/models/", "model-gone": row.get_absolute_url()}


def huge_model_pages(folder: Path, words: str) -> dict[str, str]:
    """The addresses of a list of very many models, and of one with wild words wherever it can have some."""
    row = import_tiny(folder / "models", "m" * 80, family="gemma3", dtype="BF16", shards=7)
    facts = {field.name: getattr(row, field.name) for field in row._meta.fields if field.name != "id"}
    texts = {"licence": words[:100], "licence_text": f"{words}\n" * 300}
    wild = {**texts, "source": words[:300], "revision": "f" * 100}
    BaseModel.objects.filter(pk=row.pk).update(**wild)
    for number in range(25):
        BaseModel.objects.create(
            **{**facts, **wild, "content_hash": f"{number:064x}", "parameters": 10**12, "size_bytes": 10**13}
        )
    for number in range(55):
        run_from(row, method="lora" if number % 2 else "full")
    ModelImport.objects.create(repository="o" * 90 + "/" + "r" * 90, status="failed", error=words * 10)
    return {"models-many": "/models/", "model-wild": row.get_absolute_url()}
