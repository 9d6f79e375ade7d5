"""Imports over HTTP: the API, the admin's form, the page of an import."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django_q.models import OrmQ

from datasets_app.imports import stored_upload
from datasets_app.models import Dataset, Import, Trace
from datasets_app.tasks import run_import

pytestmark = pytest.mark.django_db
URL = "/api/datasets/mine/import"


def lines_of(count: int) -> bytes:
    rows = ({"question": f"q{n}", "answer": f"s\n#### {n}"} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def send(client, token_headers):
    headers = token_headers("operate")

    def post(body: bytes = b"", url: str = URL, content_type: str = "application/octet-stream"):
        return client.post(url, body, content_type=content_type, headers=headers)

    return post


def test_a_small_file_is_imported_at_once(send):
    answer = send(lines_of(12), URL + "?split=train&file_name=gsm.jsonl&source=here")
    assert answer.status_code == 201
    found = answer.json()
    assert (found["status"], found["imported"], found["refused"], found["format"]) == (
        "completed",
        12,
        0,
        "gsm8k",
    )
    dataset = Dataset.objects.get()
    assert (found["content_hash"], dataset.train_count, dataset.source) == (dataset.content_hash, 12, "here")
    assert send(lines_of(12), URL + "?split=train").status_code == 200


def test_refused_lines_are_answered_and_can_be_fetched(send, client, token_headers):
    answer = send(lines_of(2) + b"{}\n")
    assert answer.status_code == 422
    assert "line 3 (byte" in answer.json()["detail"]
    assert not Dataset.objects.exists()
    answer = send(lines_of(2) + b"{}\n", URL + "?keep_going=true").json()
    assert (answer["imported"], answer["refused"]) == (2, 1)
    fetched = client.get(answer["rejects"], headers=token_headers("read"))
    (one,) = [json.loads(line) for line in b"".join(fetched.streaming_content).splitlines()]
    assert (one["line"], one["field"], one["text"]) == (3, "question", "{}")
    assert "attachment" in fetched.headers["Content-Disposition"]


@pytest.mark.parametrize("how", ["bytes", "rows"])
def test_a_large_file_waits_in_the_queue_and_can_be_followed(send, client, token_headers, monkeypatch, how):
    monkeypatch.setattr(stored_upload, "LARGEST_UPLOAD_AT_ONCE" if how == "bytes" else "LARGEST_AT_ONCE", 10)
    answer = send(lines_of(12))
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    waiting = OrmQ.objects.get()
    assert waiting.key == "housekeeping"
    assert (waiting.func(), waiting.task["args"]) == ("datasets_app.tasks.run_import", (answer.json()["id"],))
    run_import(answer.json()["id"])
    followed = client.get(answer.json()["url"], headers=token_headers("read")).json()
    assert (followed["status"], followed["imported"], followed["bytes_done"]) == (
        "completed",
        12,
        followed["file_bytes"],
    )
    run_import(answer.json()["id"])
    assert Dataset.objects.count() == 1, "a second delivery changes nothing"


def test_a_queued_import_that_fails_says_why(send, monkeypatch):
    monkeypatch.setattr(stored_upload, "LARGEST_UPLOAD_AT_ONCE", 10)
    number = send(lines_of(2) + b"{}\n").json()["id"]
    run_import(number)
    row = Import.objects.get(pk=number)
    assert (row.status, row.refused) == ("failed", 1)
    assert "so nothing was changed" in row.error


def test_a_waiting_import_is_cancelled_at_once(send, monkeypatch):
    monkeypatch.setattr(stored_upload, "LARGEST_UPLOAD_AT_ONCE", 10)
    number = send(lines_of(12)).json()["id"]
    cancelled = send(url=f"/api/datasets/import/{number}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    run_import(number)
    assert not Trace.objects.exists()
    assert send(url=f"/api/datasets/import/{number}/cancel").status_code == 409


@pytest.mark.parametrize("length", ["said", "not said"])
def test_an_upload_beyond_the_limit_is_refused_while_it_streams(send, settings, monkeypatch, length):
    settings.TUNIX_IMPORT_MAX_MB = 1
    if length == "not said":
        monkeypatch.setattr("tunix_site.middleware.STREAMED_PATH", __import__("re").compile("never"))
    answer = send(b"x" * (2**20 + 1))
    assert answer.status_code == 413
    assert not Trace.objects.exists()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?format=xml", "there is no format 'xml'"),
        ("?map=a", "--map"),
        ("?split=dev", "train"),
        ("?source=%00", "Bad Request"),
    ],
)
def test_a_wrong_question_is_refused(send, query, words):
    answer = send(lines_of(1), URL + query)
    assert answer.status_code in {400, 422}
    assert words in answer.json()["detail"]


def test_a_form_is_refused_with_the_way_to_send(send):
    answer = send(b"--x--", content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 422
    assert "--data-binary" in answer.json()["detail"]


def test_a_viewer_may_look_but_not_import(client, token_headers):
    headers = token_headers("read")
    assert client.post(URL, b"{}", content_type="text/plain", headers=headers).status_code == 403
    assert client.get("/api/datasets/import/7", headers=headers).status_code == 404


def test_a_person_uploads_in_the_admin_and_sees_its_page(client, administrator):
    client.force_login(administrator)
    upload = reverse("admin:datasets_app_import_upload")
    assert upload in client.get(reverse("admin:datasets_app_import_changelist")).content.decode()
    assert client.get(upload).status_code == 200
    sent = {"file": SimpleUploadedFile("a.jsonl", lines_of(3)), "dataset": "mine", "format": "auto"}
    answer = client.post(upload, sent, follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain[-1][0] == reverse("datasets:import", args=[Import.objects.get().pk])
    assert "completed" in answer.content.decode()
    assert Dataset.objects.get().trace_count == 3
    bad = {"file": SimpleUploadedFile("a.jsonl", b"nonsense\n{}"), "dataset": "mine", "format": "auto"}
    assert "is not of the form" not in (said := client.post(upload, bad).content.decode())
    assert "a.jsonl" in said


def test_the_page_of_a_live_import_comes_anew_and_can_cancel(client, operator, viewer):
    row = Import.objects.create(key="mine", file_name="a.jsonl", file_bytes=100)
    page = reverse("datasets:import", args=[row.pk])
    client.force_login(viewer)
    shown = client.get(page)
    assert shown.headers["Refresh"] == "2"
    assert "Cancel" not in shown.content.decode()
    assert client.post(reverse("datasets:cancel_import", args=[row.pk])).status_code == 403
    client.force_login(operator)
    assert "Cancel" in client.get(page).content.decode()
    client.post(reverse("datasets:cancel_import", args=[row.pk]))
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert client.get(reverse("datasets:import", args=[999])).status_code == 404
