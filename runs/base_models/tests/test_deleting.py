"""Base models go with their files, unless something names them, whatever happens meanwhile."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction

from runs.base_models.deleting import delete_base
from runs.base_models.importing import import_folder
from runs.base_models.places import sweep
from runs.base_models.placing import place_folder
from runs.base_models.selectors import Users, runs_by_base, runs_of
from runs.base_models.tests.support import import_tiny, run_from
from runs.creating import create_run
from runs.devices import Device
from runs.models import BaseModel, Run
from runs.states import Kind
from runs.tests.support import make_run, wait_until
from training import bases
from training.config import make_config
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, UserError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_row_and_files_go_and_it_is_written_down(tmp_path, administrator):
    row = import_tiny(tmp_path)
    place = bases.root() / row.content_hash
    assert delete_base(row, actor=administrator) == row.size_bytes
    assert not place.exists()
    assert not BaseModel.objects.exists()
    assert AuditEvent.objects.get(action="model.delete").detail["reference"] == row.reference
    assert [one.name for one in bases.root().iterdir()] == [".lock"]


def test_it_stays_while_a_run_names_it(tmp_path):
    row, other = import_tiny(tmp_path), import_tiny(tmp_path, "other", dtype="BF16")
    runs = [run_from(row) for _ in range(2)]
    make_run()
    with pytest.raises(ConflictError, match=rf"what run {runs[1].pk}, run {runs[0].pk} were made from"):
        delete_base(row)
    assert row.is_here
    assert list(runs_of(row)) == runs[::-1]
    more = [run_from(row, model=f"mini@{row.content_hash[:8]}") for _ in range(2)]
    found = runs_by_base([row, other])
    assert found == {row.content_hash: Users(4, [*more[::-1], runs[1]]), other.content_hash: Users()}
    delete_base(other)


def test_a_run_that_names_it_by_more_digits_counts_too(tmp_path):
    row = import_tiny(tmp_path)
    run_from(row, model=f"mini@{row.content_hash}")
    with pytest.raises(ConflictError):
        delete_base(row)


def test_where_the_row_cannot_go_the_files_come_back(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)

    def fail(*_args, **_kwargs):
        # As any import does at its beginning.
        sweep(bases.root())
        raise RuntimeError("the database went away")

    monkeypatch.setattr("runs.base_models.deleting.record_audit", fail)
    with pytest.raises(RuntimeError):
        delete_base(row)
    assert bases.find_base(row.reference).folder.is_dir()


def test_a_run_that_is_written_meanwhile_is_refused_or_keeps_it(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)
    config = make_config({"model": row.reference})
    make = partial(
        create_run, kind=Kind.TRAIN, config=config, device=Device("cpu"), dataset=None, total_steps=1
    )
    rename = Path.rename

    def then_make(path, target):
        moved = rename(path, target)
        if path.name == row.content_hash:
            with pytest.raises(InvalidInputError, match="is not on this machine"):
                make()
        return moved

    monkeypatch.setattr(Path, "rename", then_make)
    delete_base(row)
    assert not Run.objects.exists()


def test_a_model_that_vanishes_before_a_run_is_written_makes_no_run(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)
    config = make_config({"model": row.reference})

    def find(_grader):
        delete_base(row)

    monkeypatch.setattr("runs.creating.find_grader", find)
    with pytest.raises(InvalidInputError, match="is not on this machine"):
        create_run(kind=Kind.TRAIN, config=config, device=Device("cpu"), dataset=None, total_steps=1)
    assert not Run.objects.exists()


def test_a_model_that_vanishes_before_its_row_is_written_gets_none(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)

    def then_delete(*args, **more):
        placed = place_folder(*args, **more)
        delete_base(row)
        return placed

    monkeypatch.setattr("runs.base_models.importing.place_folder", then_delete)
    with pytest.raises(ConflictError, match="was deleted while it was imported"):
        import_folder(tmp_path / "mini")
    assert not BaseModel.objects.exists()


def test_what_was_imported_again_meanwhile_stays(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)
    rename = Path.rename

    def then_import(path, target):
        moved = rename(path, target)
        if path.name == row.content_hash and target.name.startswith(".deleted-"):
            import_folder(tmp_path / "mini")
        return moved

    monkeypatch.setattr(Path, "rename", then_import)
    with pytest.raises(ConflictError, match="was imported again just now"):
        delete_base(row)
    assert BaseModel.objects.get().is_here
    assert {one.name for one in bases.root().iterdir()} == {".lock", row.content_hash}


def test_a_second_deletion_finds_nothing(tmp_path):
    row = import_tiny(tmp_path)
    again = BaseModel.objects.get()
    delete_base(row)
    with pytest.raises(NotFoundError, match="deleted already"):
        delete_base(again)
    assert AuditEvent.objects.filter(action="model.delete").count() == 1


def test_a_folder_that_is_gone_already_does_not_matter(tmp_path):
    row = import_tiny(tmp_path)
    shutil.rmtree(bases.root() / row.content_hash)
    assert delete_base(row) == 0


def test_a_folder_that_cannot_be_moved_keeps_the_row(tmp_path, monkeypatch):
    row = import_tiny(tmp_path)

    def fail(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.rename", fail)
    with pytest.raises(UserError, match="is still there"):
        delete_base(row)
    assert BaseModel.objects.filter(pk=row.pk).exists()


def delete(row):
    try:
        return delete_base(row)
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_transaction_is_open_still_keeps_its_base(tmp_path):
    row = import_tiny(tmp_path)
    place = bases.root() / row.content_hash
    config = make_config({"model": row.reference})
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            run = create_run(
                kind=Kind.TRAIN, config=config, device=Device("cpu"), dataset=None, total_steps=1
            )
            deletion = pool.submit(delete, row)
            wait_until(lambda: not place.exists(), what="the deletion to set the files aside")
            assert not deletion.done()
        with pytest.raises(ConflictError, match=f"what run {run.pk} were made from"):
            deletion.result(timeout=30)
    assert BaseModel.objects.get().is_here
    assert Run.objects.get() == run
