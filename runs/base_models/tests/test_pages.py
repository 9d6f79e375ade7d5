"""Base models on pages and in the admin: what is shown, and who may import and delete."""

import shutil
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from runs.base_models import views
from runs.base_models.tests.support import import_tiny, run_from
from runs.models import BaseModel, ModelImport
from training import bases
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def look(client, viewer):
    client.force_login(viewer)
    return lambda path, code=200: page_text(client.get(path), code)


def test_an_empty_list_says_how_to_import(look):
    text = look("/models/")
    assert "manage.py import_model FOLDER" in text
    assert "<form" not in text.partition("<main")[2], "a viewer is offered nothing that needs more"


def test_the_list_tells_what_each_model_is_and_which_runs_used_it(look, tmp_path):
    row = import_tiny(tmp_path)
    bare = import_tiny(tmp_path, "bare", family="llama", files={})
    runs = [run_from(row) for _ in range(4)]
    shutil.rmtree(bases.root() / bare.content_hash)
    text = look("/models/")
    assert row.get_absolute_url() in text
    assert "apache-2.0" in text
    assert f"run {runs[3].pk}" in text
    assert f"run {runs[0].pk}<" not in text
    assert "and 1 more" in text
    assert text.count("files missing") == 1
    assert text.count(">none<") == 2, "the bare one has neither tokenizer nor template"


def test_the_list_asks_as_few_questions_however_many_models_there_are(
    look, tmp_path, monkeypatch, django_assert_max_num_queries
):
    row = import_tiny(tmp_path)
    facts = {field.name: getattr(row, field.name) for field in row._meta.fields if field.name != "id"}
    for number in range(20):
        BaseModel.objects.create(**{**facts, "name": f"m{number}", "content_hash": f"{number:064x}"})
    with django_assert_max_num_queries(9):
        look("/models/")
    monkeypatch.setattr(views, "LISTED", 10)
    text = look("/models/")
    assert "The newest 10 are shown" in text
    assert text.count("/models/m") == 10


def test_the_page_of_a_model_shows_all_that_is_known(look, tmp_path):
    row = import_tiny(tmp_path, dtype="BF16")
    other = import_tiny(tmp_path / "more")
    run = run_from(row, method="lora")
    text = look(row.get_absolute_url())
    assert row.reference in text
    assert "35,136, stored as BF16" in text
    assert "3 layers, width 32, 4 heads (2 for keys) of 16, MLP 48" in text
    assert all(facts["sha256"] in text for facts in row.files.values())
    assert "Do as you like, &lt;b&gt;but&lt;/b&gt; say who wrote it." in text
    assert f"run {run.pk}" in text
    assert "lora" in text
    assert other.get_absolute_url() in text, "the other content of that name"
    assert look("/models/mini/").count(other.reference) >= 1, "a bare name means the newest"
    look("/models/nothing/", 404)
    look("/models/mini@0000/", 404)


def test_a_model_whose_files_are_gone_or_damaged_still_has_its_page(look, tmp_path):
    row = import_tiny(tmp_path)
    folder = bases.root() / row.content_hash
    (folder / "config.json").write_text("nonsense")
    (folder / bases.RECORD_NAME).touch()
    assert "cannot be read" in look(row.get_absolute_url())
    shutil.rmtree(folder)
    assert "The files of this model are missing on this machine" in look(row.get_absolute_url())


def test_an_operator_imports_from_the_page_and_sees_how_far_it_is(client, operator):
    client.force_login(operator)
    answer = client.post("/models/import/", {"repository": "owner/model"}, follow=True)
    assert "is in the queue" in page_text(answer)
    row = ModelImport.objects.get()
    assert answer.headers["Refresh"] == "5"
    row.status, row.heartbeat_at = "running", timezone.now()
    row.bytes_done, row.bytes_total, row.doing = 1 << 20, 4 << 20, "fetching model.safetensors"
    row.save()
    assert "fetching model.safetensors" in page_text(client.get("/models/"))
    row.status, row.error = "failed", "The hub said no."
    row.save()
    assert "The hub said no." in page_text(client.get("/models/"))
    ModelImport.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert "The hub said no." not in page_text(client.get("/models/"))


@pytest.mark.parametrize("repository", ["", "/etc", "no repository"])
def test_what_cannot_be_imported_is_said_beside_the_form(client, operator, repository):
    client.force_login(operator)
    text = page_text(client.post("/models/import/", {"repository": repository}), 422)
    assert "no repository of the hub" in text or "required" in text
    assert not ModelImport.objects.exists()


def test_only_administrators_delete_on_the_page(client, operator, administrator, tmp_path):
    row = import_tiny(tmp_path)
    path = reverse("models:delete", args=[row.reference])
    client.force_login(operator)
    assert client.post(path).status_code == 403
    client.force_login(administrator)
    run = run_from(row)
    assert f"run {run.pk}" in page_text(client.post(path, follow=True))
    run.delete()
    assert "is deleted" in page_text(client.post(path, follow=True))
    assert not BaseModel.objects.exists()


class TestAdmin:
    def test_models_and_imports_can_be_looked_at(self, client, administrator, tmp_path):
        row = import_tiny(tmp_path)
        asked = ModelImport.objects.create(repository="owner/model", base=row)
        client.force_login(administrator)
        for name, pk in (("basemodel", row.pk), ("modelimport", asked.pk)):
            assert client.get(reverse(f"admin:runs_{name}_changelist")).status_code == 200
            text = client.get(reverse(f"admin:runs_{name}_change", args=[pk])).content.decode()
            assert "_save" not in text, "nothing is changed by hand"
            assert client.get(reverse(f"admin:runs_{name}_add")).status_code == 403

    def test_an_import_is_asked_for_there_too(self, client, make_user):
        client.force_login(make_user("clerk", "operator", is_staff=True))
        path = reverse("admin:runs_basemodel_import")
        assert client.get(path).status_code == 200
        assert b"cannot be called" in client.post(path, {"repository": "a/b", "name": "nano"}).content
        assert client.post(path, {"repository": "owner/model"}).status_code == 302
        assert ModelImport.objects.get().repository == "owner/model"

    def test_deleting_there_has_the_same_guard(self, client, administrator, tmp_path):
        used, free = import_tiny(tmp_path), import_tiny(tmp_path, "free", dtype="BF16")
        run_from(used)
        client.force_login(administrator)
        body = {"action": "delete_chosen", "_selected_action": [used.pk, free.pk]}
        text = client.post(reverse("admin:runs_basemodel_changelist"), body, follow=True).content.decode()
        assert "were made from" in text
        assert list(BaseModel.objects.all()) == [used]

    def test_an_operator_deletes_nothing_there(self, client, make_user, tmp_path):
        row = import_tiny(tmp_path)
        client.force_login(make_user("clerk", "operator", is_staff=True))
        body = {"action": "delete_chosen", "_selected_action": [row.pk]}
        client.post(reverse("admin:runs_basemodel_changelist"), body)
        assert BaseModel.objects.exists()
