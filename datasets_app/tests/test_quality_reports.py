"""Quality reports: made at once or in the queue, kept, and shown with links to the traces."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_q.models import OrmQ
from msgspec.structs import replace

from datasets_app.models import QualityReport
from datasets_app.quality import duplicates, overlap, reports
from datasets_app.quality.reports import cancel_report, latest_report, request_report, run_report
from datasets_app.services import seed_dataset
from datasets_app.tasks import run_quality_report
from datasets_app.tests.support_quality import member, published
from tunix_site.errors import ConflictError, InvalidInputError

pytestmark = pytest.mark.django_db

LONG = (
    "the quick brown fox jumps over the lazy dog and then goes home to sleep until noon "
    "while it rains outside and nobody comes to see"
)


@pytest.fixture
def faulty():
    rows = [
        member("What is 1 + 1?", ["<<1+1=3>>3"], "3"),
        member("what is  1 + 1?", ["<<1+1=2>>2"], "2"),
        member(f"{LONG} today", ["s"], "s"),
        member(f"{LONG} Today", ["s"], "S"),
        member(f"{LONG} now", ["s"], "s"),
        member("p" * 600, ["s"], "s"),
        member("p" * 500, ["a long step indeed"], "é"),
        member("ask", ["only 6"], "7"),
    ]
    sides = ["train", "train", "train", "train", "test", "train", "train", "test"]
    return published("faulty-v1", [replace(row, split=side) for row, side in zip(rows, sides, strict=True)])


def kinds(content) -> dict[str, int]:
    return {finding["code"]: finding["count"] for finding in content["findings"]}


def items(content, code: str) -> list[list[int]]:
    return [
        item["positions"] for found in content["findings"] if found["code"] == code for item in found["items"]
    ]


def test_every_fault_is_found_and_names_its_traces(faulty):
    content = request_report(dataset=faulty).content
    assert kinds(content) == {
        "no_target": 1,
        "answer_cut": 1,
        "annotation_wrong": 1,
        "test_in_train": 1,
        "prompt_with_two_answers": 2,
        "exact_duplicate": 1,
        "near_duplicate": 1,
        "last_step_differs": 2,
    }
    assert items(content, "no_target") == [[5]]
    assert items(content, "answer_cut") == [[6]]
    assert items(content, "exact_duplicate") == [[2, 3]]
    assert items(content, "near_duplicate") == [[2, 4]]
    assert items(content, "test_in_train") == [[4, 2]]
    assert items(content, "prompt_with_two_answers") == [[0, 1], [2, 3]]
    assert content["non_ascii"]["characters"] == [{"character": "é", "code": "U+00E9", "count": 1}]
    assert content["report_version"] == 2


def test_a_generated_dataset_passes_its_own_checks():
    content = request_report(dataset=seed_dataset(key="golden-v2", count=50).dataset).content
    checked = content["steps"]["checked_by_family"]
    assert checked["valid"] > 200
    assert (checked["invalid"], checked["unknown"]) == (0, 0)
    assert "step_wrong" not in kinds(content)
    assert content["tokens"]["total"]["traces"] == 50


def test_overlap_with_another_dataset_names_the_place_there(faulty):
    other = published("other-v1", [member("unrelated", ["x"], "y"), member(f"so {LONG}", ["t"], "u")])
    content = request_report(dataset=faulty, other=other).content
    (finding,) = [one for one in content["findings"] if one["code"] == "in_other_dataset"]
    assert (finding["count"], content["overlap"]["traces_in_other"]) == (3, 3)
    assert finding["items"][0] == {"positions": [2], "note": "", "other": 1}


def test_the_same_report_is_made_once(faulty):
    first = request_report(dataset=faulty)
    assert request_report(dataset=faulty).pk == first.pk
    assert request_report(dataset=faulty, sequence_length=64).pk != first.pk
    latest = latest_report(dataset=faulty)
    assert latest
    assert latest.sequence_length == 64


@pytest.mark.parametrize("length", [0, 15, 131_073])
def test_a_sequence_length_out_of_bounds_is_refused(faulty, length):
    with pytest.raises(InvalidInputError, match="must be from 16 to 131072"):
        request_report(dataset=faulty, sequence_length=length)


def test_a_dataset_is_not_compared_with_itself(faulty):
    with pytest.raises(InvalidInputError, match="with another one"):
        request_report(dataset=faulty, other=faulty)


def test_a_large_report_waits_in_the_queue_and_is_carried_out_once(faulty, monkeypatch):
    monkeypatch.setattr(reports, "LARGEST_AT_ONCE", 5)
    report = request_report(dataset=faulty)
    assert request_report(dataset=faulty).pk == report.pk, "asked twice, queued once"
    waiting = OrmQ.objects.get()
    assert (waiting.key, waiting.task["args"]) == ("housekeeping", (report.pk,))
    run_quality_report(report.pk)
    report.refresh_from_db()
    assert (report.status, report.done, report.is_alive) == ("completed", 12, False)
    before = QualityReport.objects.values().get(pk=report.pk)
    run_quality_report(report.pk)
    assert QualityReport.objects.values().get(pk=report.pk) == before


def test_a_waiting_report_is_cancelled_at_once(faulty):
    report = request_report(dataset=faulty, at_once=False)
    assert cancel_report(report=report).status == "cancelled"
    run_report(report_id=report.pk)
    report.refresh_from_db()
    assert (report.status, report.content) == ("cancelled", {})
    with pytest.raises(ConflictError):
        cancel_report(report=report)


def test_a_running_report_ends_where_it_is_cancelled(faulty):
    report = request_report(dataset=faulty, at_once=False)

    def cancel(_done: int, _total: int) -> None:
        cancel_report(report=QualityReport.objects.get(pk=report.pk))

    run_report(report_id=report.pk, tell=cancel)
    report.refresh_from_db()
    assert (report.status, report.error) == ("cancelled", "It was cancelled.")


def test_the_command_prints_and_keeps_the_report(faulty):
    out = StringIO()
    call_command(
        "quality_report", "faulty-v1", "--sequence_length", "64", "--json", stdout=out, stderr=StringIO()
    )
    answer = json.loads(out.getvalue())
    assert answer["sequence_length"] == 64
    assert QualityReport.objects.get(pk=answer["report_id"]).status == "completed"
    out = StringIO()
    call_command("quality_report", "faulty-v1", stdout=out)
    assert "Exact duplicates (at 2)" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("quality_report", "nope")


def test_the_api_makes_gives_and_cancels_reports(client, token_headers, faulty, monkeypatch):
    url = "/api/datasets/faulty-v1/quality"
    read, operate = token_headers("read"), token_headers("operate")
    assert client.get(url, headers=read).status_code == 404
    asked = {"data": {"sequence_length": 128}, "content_type": "application/json"}
    assert client.post(url, headers=read, **asked).status_code == 403
    made = client.post(url, headers=operate, **asked)
    assert made.status_code == 200
    assert client.get(url, headers=read).json() == made.json()
    assert client.get(made.json()["url"], headers=read).json()["content"]["sequence_length"] == 128
    monkeypatch.setattr(reports, "LARGEST_AT_ONCE", 5)
    queued = client.post(url, headers=operate, data={}, content_type="application/json")
    assert (queued.status_code, queued.json()["status"], queued.json()["content"]) == (202, "queued", None)
    cancelled = client.post(f"{queued.json()['url']}/cancel", headers=operate)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert client.post(f"{queued.json()['url']}/cancel", headers=operate).status_code == 409
    assert client.get(f"{url}/99999", headers=read).status_code == 404
    wrong = client.post(url, headers=operate, data={"sequence_length": 1}, content_type="application/json")
    assert wrong.status_code == 422


def test_the_page_shows_findings_with_links(client, viewer, faulty):
    client.force_login(viewer)
    url = f"/datasets/{faulty.address}/quality/"
    assert f"quality_report {faulty.address}" in client.get(url).content.decode()
    request_report(dataset=faulty)
    text = client.get(url).content.decode()
    assert f'href="/datasets/{faulty.address}/traces/6/"' in text
    assert "Final answers that are cut" in text
    assert 'id="report-data"' in text
    assert "Make a report" not in text
    assert client.post(f"{url}make/", {"sequence_length": 64}).status_code == 403


@pytest.mark.parametrize(
    ("of", "bound", "words"),
    [
        (duplicates, "MOST_PAIRS", "not all were compared"),
        (duplicates, "NEIGHBOURS", "not all were compared"),
        (overlap, "MOST_GRAMS", "too many for all to be compared"),
    ],
)
def test_the_page_says_where_a_bound_left_something_out(
    client, viewer, faulty, monkeypatch, of, bound, words
):
    client.force_login(viewer)
    url = f"/datasets/{faulty.address}/quality/"
    request_report(dataset=faulty)
    assert words not in client.get(url).content.decode()
    QualityReport.objects.all().delete()
    monkeypatch.setattr(of, bound, 0)
    request_report(dataset=faulty)
    assert words in client.get(url).content.decode()


def test_an_operator_makes_and_cancels_reports_on_the_page(client, operator, faulty, monkeypatch):
    client.force_login(operator)
    url = f"/datasets/{faulty.address}/quality/"
    made = client.post(f"{url}make/", {"sequence_length": "64", "against": ""}, follow=True)
    assert "Cut at 64 tokens" in made.content.decode()
    assert client.post(f"{url}make/", {"sequence_length": "x"}).status_code == 422
    monkeypatch.setattr(reports, "LARGEST_AT_ONCE", 5)
    queued = client.post(f"{url}make/", {"sequence_length": "65", "against": ""}, follow=True)
    assert "is being made" in queued.content.decode()
    report = QualityReport.objects.get(sequence_length=65)
    client.post(f"{url}{report.pk}/cancel/")
    report.refresh_from_db()
    assert report.status == "cancelled"


@pytest.mark.parametrize("against", ["a\0b", "a\0b@abcd"])
def test_no_database_is_asked_for_a_key_with_a_nul(client, operator, faulty, against):
    client.force_login(operator)
    url = f"/datasets/{faulty.address}/quality/make/"
    asked: list[object] = []

    def ask(execute, sql, params, many, context):
        asked.extend(params or ())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(ask):
        answer = client.post(url, {"sequence_length": "64", "against": against})
    assert answer.status_code == 404
    assert asked
    assert not [value for value in asked if "\0" in str(value)]
