"""Freezing, deleting, and the cards beside an export."""

import json
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.urls import reverse

from datasets_app.cards import croissant, dataset_card
from datasets_app.lifecycle import delete_dataset, freeze_dataset
from datasets_app.manifest import folder_of
from datasets_app.models import Dataset, SearchIndex, Trace
from datasets_app.services import seed_dataset
from datasets_app.tests.support_quality import member, published
from tunix_site.errors import ConflictError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def small(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return seed_dataset(key="golden-v2", count=10).dataset


def test_a_deleted_dataset_takes_its_words_and_files_along(small, django_capture_on_commit_callbacks):
    assert folder_of("golden-v2").is_dir()
    with django_capture_on_commit_callbacks(execute=True):
        delete_dataset(dataset=small)
    assert not Dataset.objects.exists()
    assert not SearchIndex.objects.exists()
    assert not folder_of("golden-v2").exists()
    assert Trace.objects.count() == 10, "traces may be in use elsewhere"
    assert AuditEvent.objects.get(action="dataset.delete").detail["address"] == small.address


def test_the_content_before_gets_its_files_back(small, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        newer = seed_dataset(key="golden-v2", count=11).dataset
    with django_capture_on_commit_callbacks(execute=True):
        delete_dataset(dataset=newer)
    manifest = json.loads((folder_of("golden-v2") / "manifest.json").read_text())
    assert manifest["content_hash"] == small.content_hash


def test_a_dataset_in_use_is_not_deleted(small):
    run = apps.get_model("runs", "Run").objects.create(dataset=small, config={}, device_kind="cpu")
    with pytest.raises(ConflictError, match=f"used by runs .{run.pk}"):
        delete_dataset(dataset=small)
    run.delete()
    newer = seed_dataset(key="golden-v2", count=11).dataset
    with pytest.raises(ConflictError, match="is the parent of"):
        delete_dataset(dataset=small)
    assert freeze_dataset(dataset=newer)
    assert not freeze_dataset(dataset=newer)
    with pytest.raises(ConflictError, match="frozen"):
        delete_dataset(dataset=newer)


def act(client, dataset, action: str):
    url = reverse("admin:datasets_app_dataset_changelist")
    return client.post(url, {"action": action, "_selected_action": [dataset.pk]}, follow=True)


def test_the_admin_offers_each_action_to_those_who_may(client, make_user, small):
    client.force_login(make_user("vera", "viewer", is_staff=True))
    for action in ("report", "freeze", "remove"):
        act(client, small, action)
    small.refresh_from_db()
    assert small.frozen_at is None
    assert not small.quality_reports.exists()
    exported = act(client, small, "export")
    assert len(b"".join(exported.streaming_content).splitlines()) == 10
    client.force_login(make_user("olga", "operator", is_staff=True))
    act(client, small, "remove")
    assert Dataset.objects.filter(pk=small.pk).exists()
    assert "is completed" in act(client, small, "report").content.decode()
    assert "1 frozen" in act(client, small, "freeze").content.decode()
    client.force_login(make_user("adam", "admin", is_staff=True))
    assert "is frozen and is not deleted" in act(client, small, "remove").content.decode()
    Dataset.objects.update(frozen_at=None)
    assert "Deleted golden-v2@" in act(client, small, "remove").content.decode()
    assert not Dataset.objects.exists()


def test_the_form_links_to_every_format_and_the_cards(client, make_user, small):
    client.force_login(make_user("vera", "viewer", is_staff=True))
    text = client.get(reverse("admin:datasets_app_dataset_change", args=[small.pk])).content.decode()
    for word in ("format=trace", "format=messages", "card.md", "croissant.json"):
        assert word in text


def test_the_card_names_licence_splits_sources_and_tokens():
    dataset = published("mine-v1", [member("p|q", ["s"], "a", source="lab|x", licence="CC-BY-4.0")])
    card = dataset_card(dataset)
    assert card.startswith('---\npretty_name: "mine-v1"\nlicense: cc-by-4.0\n')
    assert "path: train.jsonl" in card
    assert "| lab\\|x | CC-BY-4.0 | 1 |" in card
    assert dataset.content_hash in card
    two = published("two-v1", [member("a", ["s"], "a", licence="MIT"), member("b", ["s"], "a", licence="X")])
    assert 'license: other\nlicense_name: "MIT, X"' in dataset_card(two)


def test_croissant_names_file_digest_and_fields(small):
    content = croissant(small, file={"sha256": "ab", "bytes": 12})
    assert content["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert content["distribution"][0]["sha256"] == "ab"
    fields = {field["name"] for field in content["recordSet"][0]["field"]}
    assert {"prompt", "steps", "final_answer", "split"} <= fields


def test_a_folder_export_holds_traces_splits_card_and_croissant(small, tmp_path):
    out = StringIO()
    call_command(
        "export_dataset",
        "golden-v2",
        "--folder",
        str(tmp_path / "out"),
        "--json",
        stdout=out,
        stderr=StringIO(),
    )
    files = json.loads(out.getvalue())["files"]
    assert set(files) == {"traces.jsonl", "train.jsonl", "test.jsonl", "README.md", "croissant.json"}
    assert (
        files["train.jsonl"]["lines"] + files["test.jsonl"]["lines"] == files["traces.jsonl"]["lines"] == 10
    )
    described = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert described["distribution"][0]["sha256"] == files["traces.jsonl"]["sha256"]


def test_the_api_gives_card_and_croissant(client, token_headers, small):
    headers = token_headers("read")
    assert client.get("/api/datasets/golden-v2/card.md", headers=headers).content.startswith(b"---\n")
    assert client.get("/api/datasets/golden-v2/croissant.json", headers=headers).json()["name"] == "golden-v2"
    assert client.get("/api/datasets/nope/card.md", headers=headers).status_code == 404
