"""Imports from the hub in the queue: once, in turns, with progress, and with what failed."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from runs.base_models import hub_files, queue
from runs.base_models.from_hub import import_repository
from runs.base_models.queue import enqueue_import, run_queued_import
from runs.base_models.tasks import run_import
from runs.base_models.tests.hub_server import small_hub
from runs.base_models.tests.support import FILES
from runs.models import BaseModel, ModelImport
from training.hf.tests.folders import model_folder
from tunix_site.errors import ConflictError, InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture
def hub(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub_files, "PAUSE_S", 0.0)
    with small_hub(model_folder(tmp_path / "remote", "llama", files=FILES)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_it_is_carried_out_once_and_leads_to_its_model(hub, operator):
    row = enqueue_import(repository="owner/model", name="mine", actor=operator)
    assert OrmQ.objects.count() == 1
    run_import(row.pk)
    row.refresh_from_db()
    base = BaseModel.objects.get()
    assert (row.status, row.base, row.error, row.notes) == ("completed", base, "", [])
    assert row.bytes_done == row.bytes_total == base.size_bytes
    assert (base.name, base.imported_by) == ("mine", operator)
    asked = len(hub.asked)
    run_queued_import(row.pk)
    assert len(hub.asked) == asked, "a second delivery does nothing"


def test_what_is_here_already_is_told(hub):
    import_repository("owner/model")
    row = enqueue_import(repository="owner/model")
    run_queued_import(row.pk)
    row.refresh_from_db()
    assert row.notes == ["It was here already."]


def test_what_failed_says_why(hub):
    row = enqueue_import(repository="owner/model", revision="v9")
    run_queued_import(row.pk)
    row.refresh_from_db()
    assert row.status == "failed"
    assert "has no revision 'v9'" in row.error
    assert row.finished_at is not None
    assert enqueue_import(repository="owner/model", revision="v9"), "and it can be asked for again"


def test_a_long_download_lets_others_go_between(hub, monkeypatch):
    monkeypatch.setattr(queue, "TURN_S", -1.0)
    row = enqueue_import(repository="owner/model")
    run_queued_import(row.pk)
    row.refresh_from_db()
    assert (row.status, row.finished_at) == ("queued", None)
    assert row.doing.startswith("fetching ")
    assert OrmQ.objects.count() == 2
    monkeypatch.setattr(queue, "TURN_S", 60.0)
    run_queued_import(row.pk)
    row.refresh_from_db()
    assert row.status == "completed"


def test_the_same_waits_once_unless_the_first_is_lost():
    row = enqueue_import(repository="owner/model")
    with pytest.raises(ConflictError, match=f"Import {row.pk} of owner/model is queued already"):
        enqueue_import(repository="owner/model")
    long_ago = timezone.now() - timedelta(hours=1)
    ModelImport.objects.filter(pk=row.pk).update(status="running", heartbeat_at=long_ago)
    row.refresh_from_db()
    assert row.state == "lost"
    assert enqueue_import(repository="owner/model").state == "queued"


def test_what_a_lost_worker_began_goes_on_when_it_is_delivered_again(hub):
    row = enqueue_import(repository="owner/model")
    alive = ModelImport.objects.filter(pk=row.pk)
    alive.update(status="running", heartbeat_at=timezone.now() - timedelta(minutes=9))
    run_queued_import(row.pk)
    assert alive.get().status == "running"
    assert hub.asked == [], "its worker may still be at it"
    alive.update(heartbeat_at=timezone.now() - timedelta(minutes=11))
    run_queued_import(row.pk)
    assert alive.get().status == "completed"


@pytest.mark.parametrize("wrong", ["/etc", "../models", "https://huggingface.co/a/b", "name", ""])
def test_a_folder_or_an_address_is_no_repository(wrong):
    with pytest.raises(InvalidInputError, match="no repository of the hub"):
        enqueue_import(repository=wrong)
    assert not ModelImport.objects.exists()


def test_a_name_that_cannot_be_is_refused_before_it_waits():
    with pytest.raises(InvalidInputError, match="cannot be called 'nano'"):
        enqueue_import(repository="owner/model", name="nano")
