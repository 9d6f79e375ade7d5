"""Looking before importing: nothing is imported before somebody says yes."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from datasets_app.imports import previews, queue, stored_upload
from datasets_app.imports.errors import CancelledError
from datasets_app.imports.rejects import folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.sweeping import sweep_imports
from datasets_app.models import Dataset, Import, Trace
from datasets_app.tests.test_api_imports import lines_of, send
from tunix_site.models import AuditEvent

__all__ = ["send"]  # the fixture

pytestmark = pytest.mark.django_db
LOOK = "/api/datasets/mine/import?preview=true&file_name=a.jsonl"


def confirm_url(found: dict[str, object], more: str = "") -> str:
    return f"{found['url']}/confirm{more}"


def test_a_look_shows_format_mapping_traces_and_counts_and_imports_nothing(send):
    answer = send(lines_of(12) + b"{}\n", LOOK)
    assert answer.status_code == 200
    found = answer.json()
    preview = found["preview"]
    assert (found["status"], found["format"], preview["mapping"]) == (
        "previewed",
        "gsm8k",
        {"question": "question", "answer": "answer"},
    )
    assert (preview["fit"], preview["refused"], preview["whole"]) == (12, 1, True)
    assert preview["first_refused"][0].startswith("line 13 (byte")
    assert [(one["prompt"], one["steps"], one["final_answer"]) for one in preview["traces"]] == [
        (f"q{n}", ["s"], str(n)) for n in range(3)
    ]
    assert not Trace.objects.exists()
    assert not Dataset.objects.exists()


def test_a_yes_imports_and_a_second_one_is_a_conflict(send):
    found = send(lines_of(12), LOOK).json()
    answer = send(url=confirm_url(found))
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["imported"]) == ("completed", 12)
    again = send(url=confirm_url(found))
    assert again.status_code == 409
    assert "does not wait to be confirmed (completed)" in again.json()["detail"]
    assert Dataset.objects.get().trace_count == 12
    assert not folder_of(found["id"]).exists()


def test_with_refused_lines_a_yes_must_say_that_the_good_ones_are_wanted(send):
    found = send(lines_of(3) + b"{}\n", LOOK).json()
    assert send(url=confirm_url(found)).status_code == 422
    assert not Dataset.objects.exists()
    found = send(lines_of(3) + b"{}\n", LOOK).json()
    answer = send(url=confirm_url(found, "?keep_going=true")).json()
    assert (answer["imported"], answer["refused"]) == (3, 1)


def test_of_a_large_file_the_start_is_counted_and_a_yes_goes_into_the_queue(send, monkeypatch):
    monkeypatch.setattr(stored_upload, "LARGEST_AT_ONCE", 10)
    monkeypatch.setattr(previews, "COUNTED", 10)
    found = send(lines_of(25), LOOK).json()
    assert (found["preview"]["fit"], found["preview"]["whole"]) == (10, False)
    assert not OrmQ.objects.exists()
    answer = send(url=confirm_url(found))
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert OrmQ.objects.count() == 1
    assert AuditEvent.objects.filter(action="dataset.enqueue_import").count() == 1


def test_a_no_keeps_nothing(send):
    found = send(lines_of(3), LOOK).json()
    assert send(url=f"{found['url']}/cancel").json()["status"] == "cancelled"
    assert not folder_of(found["id"]).exists()
    assert send(url=confirm_url(found)).status_code == 409


@pytest.mark.parametrize("take", [previews.look_first, queue.take_upload])
def test_a_cancel_while_the_file_comes_in_holds(take):
    def coming_in() -> Iterator[bytes]:
        yield lines_of(2)
        queue.cancel_import(import_id=Import.objects.get().pk)
        yield lines_of(2)

    with pytest.raises(CancelledError, match="Nothing was changed"):
        take(request=ImportRequest(key="mine"), name="a.jsonl", chunks=coming_in(), actor=None)
    row = Import.objects.get()
    assert (row.status, Trace.objects.exists(), folder_of(row.pk).exists()) == ("cancelled", False, False)


def test_a_file_that_cannot_be_read_fails_at_once(send):
    answer = send(b"PK\x03\x04nonsense", LOOK)
    assert answer.status_code in {400, 422}
    row = Import.objects.get()
    assert (row.status, folder_of(row.pk).exists()) == ("failed", False)
    assert row.error


def test_nobody_but_operators_may_look_or_say_yes(client, token_headers, send, viewer):
    found = send(lines_of(3), LOOK).json()
    for url, body in ((LOOK, lines_of(3)), (confirm_url(found), b"")):
        headers = token_headers("read")
        assert (
            client.post(url, body, content_type="application/octet-stream", headers=headers).status_code
            == 403
        )
    client.force_login(viewer)
    assert client.post(reverse("datasets:confirm_import", args=[found["id"]])).status_code == 403
    assert "Records that fit" in client.get(reverse("datasets:import", args=[found["id"]])).content.decode()
    assert Import.objects.get().status == "previewed"


def test_what_nobody_confirms_is_swept_after_a_day(send):
    found = send(lines_of(3), LOOK).json()
    assert sweep_imports() == 0
    Import.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert sweep_imports() == 1
    row = Import.objects.get()
    assert (row.status, folder_of(row.pk).exists()) == ("cancelled", False)
    assert "Nobody confirmed" in row.error
    assert send(url=confirm_url(found)).status_code == 409


def test_the_page_shows_marked_up_texts_as_they_are(client, operator, send):
    line = {"question": "<script>alert(1)</script>", "answer": "<b>s</b>\n#### 1"}
    found = send(json.dumps(line).encode(), LOOK).json()
    client.force_login(operator)
    page = client.get(reverse("datasets:import", args=[found["id"]])).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    answer = client.post(reverse("datasets:confirm_import", args=[found["id"]]), follow=True)
    assert "completed" in answer.content.decode()
    assert Dataset.objects.get().trace_count == 1
