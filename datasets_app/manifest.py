"""The files of a dataset: ``traces.jsonl`` and a manifest, both derived from the database.

They lie in ``artifacts/datasets/<key>/`` and hold the content that the bare key addresses.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from datasets_app.facts import FactsCollector, facts_of
from datasets_app.formats import line_of, trace
from datasets_app.fresh_file import replace_file
from datasets_app.models import SHORT_HASH, Dataset
from datasets_app.publishing import newest_of_key
from datasets_app.selectors import member_traces
from datasets_app.traces import TRACE_VERSION
from datasets_app.traces_file import TracesFile
from tunix_site.errors import NotFoundError, UserError

MANIFEST_VERSION = 2
MANIFEST, TRACES = "manifest.json", "traces.jsonl"


def datasets_dir() -> Path:
    """Give the folder that holds the files of all datasets."""
    return Path(settings.TUNIX_ARTIFACTS_DIR) / "datasets"


def folder_of(key: str) -> Path:
    """Give the folder of one key."""
    return datasets_dir() / key


def describe(dataset: Dataset) -> dict[str, Any]:
    """Derive from the database what the manifest says, apart from the sizes of files."""
    parent = dataset.parent.content_hash if dataset.parent else None
    facts = facts_of(dataset=dataset)
    return {
        "manifest_version": MANIFEST_VERSION,
        "trace_version": TRACE_VERSION,
        "key": dataset.key,
        "content_hash": dataset.content_hash,
        "hash_prefix": dataset.content_hash[:SHORT_HASH],
        "address": dataset.address,
        "parent": parent,
        "parents": parents_of(dataset),
        "description": dataset.description,
        "trace_count": dataset.trace_count,
        "splits": {"train": dataset.train_count, "test": dataset.test_count},
        "families": facts.families,
        "generator": dataset.generator or None,
        "generator_version": dataset.generator_version,
        "recipe": dataset.recipe,
        "source": dataset.source,
        "licence": dataset.licence,
        "licences": sorted({str(row["licence"]) for row in facts.provenance if row["licence"]}),
        "provenance": facts.provenance,
        "tokens": facts.tokens,
        "created": dataset.published_at.isoformat() if dataset.published_at else None,
    }


def parents_of(dataset: Dataset) -> list[str]:
    """Name the contents that this one was made from: the key's content before it, and its source."""
    named = [dataset.parent.address] if dataset.parent else []
    filters = dataset.recipe.get("filters")
    chosen_from = filters.get("dataset") if isinstance(filters, dict) else None
    return [*named, chosen_from] if isinstance(chosen_from, str) else named


def write_files(*, key: str, made: tuple[Dataset, TracesFile] | None = None) -> Path:
    """Write ``traces.jsonl`` and then the manifest of the newest content of a key; gives their folder.

    Each file is replaced in one move. Two writers take turns, and each looks up the newest
    content in its turn, so an older one never overwrites a newer. ``made`` is the file of a content
    where one was written with it; it is used if that content is still the newest.

    Raises:
        NotFoundError: if nothing is published under the key.
        UserError: if the files cannot be written; the dataset itself is safe in the database.
    """
    folder = folder_of(key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _turn(folder):
            dataset = newest_of_key(key)
            if dataset is None:
                raise NotFoundError(f"There is no dataset {key!r} to write files of.")
            if made is not None and made[0].pk == dataset.pk and made[1].is_whole:
                collector = made[1].collector
                file = made[1].put_in_place(folder / TRACES)
            else:
                collector = FactsCollector()
                file = replace_file(folder / TRACES, _lines(dataset, collector))
            collector.save(dataset)
            content = describe(dataset) | {"files": {TRACES: file}}
            replace_file(
                folder / MANIFEST, [json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"]
            )
    except OSError as error:
        raise UserError(
            f"Dataset {key} is stored, but its files in {folder} could not be written: {error.strerror}.",
            hint=f"When that is put right: manage.py check_datasets {key} --repair",
        ) from error
    return folder


def _lines(dataset: Dataset, collector: FactsCollector) -> Iterator[bytes]:
    for member in member_traces(dataset=dataset):
        collector.add(member)
        yield line_of(trace.write(member))


def is_current(*, key: str) -> bool:
    """Tell whether both files are there and the manifest is of the newest content (a quick look only)."""
    newest = newest_of_key(key)
    if newest is None or not (folder_of(key) / TRACES).is_file():
        return False
    try:
        content = read_manifest(key)
    except (OSError, ValueError):
        return False
    return content.get("content_hash") == newest.content_hash


def read_manifest(key: str) -> dict[str, Any]:
    """Read the manifest on disk.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON object.
    """
    content = json.loads((folder_of(key) / MANIFEST).read_bytes())
    if not isinstance(content, dict):
        raise ValueError("the manifest is no JSON object")
    return content


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
