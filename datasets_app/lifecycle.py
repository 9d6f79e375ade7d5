"""Freezing and deleting datasets."""

import shutil

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from datasets_app import manifest, search
from datasets_app.models import Dataset
from datasets_app.publishing import newest_of_key
from datasets_app.selectors import runs_of_datasets
from tunix_site.errors import ConflictError
from tunix_site.services import record_audit


def freeze_dataset(*, dataset: Dataset, actor: User | None = None) -> bool:
    """Keep a dataset from being deleted, for good; tells whether it was not frozen before."""
    changed = Dataset.objects.filter(pk=dataset.pk, frozen_at=None).update(frozen_at=timezone.now())
    if changed:
        _audit("dataset.freeze", dataset, actor)
    return bool(changed)


def delete_dataset(*, dataset: Dataset, actor: User | None = None) -> None:
    """Delete a content of a key, with its memberships, words, reports and files; traces stay.

    Raises:
        ConflictError: if it is frozen, if a run used it, or if another content came after it.
    """
    dataset.refresh_from_db()
    if dataset.frozen_at is not None:
        raise ConflictError(f"{dataset.address} is frozen and is not deleted.")
    runs = list(runs_of_datasets(datasets=[dataset])[:5])
    if runs:
        named = ", ".join(str(run.pk) for run in runs)
        raise ConflictError(f"{dataset.address} is used by runs ({named} …) and is not deleted.")
    child = dataset.children.first()
    if child is not None:
        raise ConflictError(f"{dataset.address} is the parent of {child}; delete that first.")
    key, row = dataset.key, dataset.pk
    try:
        with transaction.atomic():
            _audit("dataset.delete", dataset, actor)
            search.drop_index(dataset=dataset)
            dataset.delete()
    except ProtectedError as error:
        raise ConflictError(f"{key}: dataset {row} came into use just now and is not deleted.") from error
    transaction.on_commit(lambda: _bring_files_up_to_date(key))


def _bring_files_up_to_date(key: str) -> None:
    if newest_of_key(key) is not None:
        manifest.write_files(key=key)
    else:
        shutil.rmtree(manifest.folder_of(key), ignore_errors=True)


def _audit(action: str, dataset: Dataset, actor: User | None) -> None:
    record_audit(
        actor=actor,
        action=action,
        target_type="dataset",
        target_id=dataset.pk,
        detail={"address": dataset.address, "trace_count": dataset.trace_count},
    )
