"""A deletion waits for what is being written with the model, and then sees it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from runs.base_models.deleting import delete_base
from runs.base_models.tests.support import import_tiny
from runs.creating import create_run
from runs.devices import Device
from runs.models import BaseModel, Run
from runs.states import Kind
from runs.tests.support import wait_until
from training import bases
from training.config import make_config
from tunix_site.errors import ConflictError


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
