"""The notes of a run: who writes them, what two do who write at once, and that they stay text."""

import threading

import pytest
from django.db import connection

from runs.models import Run
from runs.pages.notes_store import LONGEST, NotesChangedError, save_notes, version_of
from runs.tests.support import fresh, make_run
from tunix_site.errors import InvalidInputError, NotFoundError
from tunix_site.models import AuditEvent
from tunix_site.tests.pages import inline_code

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    return make_run()


def address(run: Run) -> str:
    return f"/runs/{run.pk}/notes/"


def body(answer) -> str:
    text = str(answer.content, "utf-8")
    assert inline_code(text) == []
    return text


def test_an_operator_writes_notes_and_a_line_remains_of_it(client, operator, run):
    client.force_login(operator)
    page = body(client.get(address(run)))
    assert f'name="version" value="{version_of("")}"' in page
    form = {"notes": "# Why\r\n**because** <script>x</script>", "version": version_of("")}
    text = body(client.post(f"{address(run)}write/", form, follow=True))
    assert "The notes are saved." in text
    assert "<strong>because</strong> &lt;script&gt;" in text
    assert fresh(run).notes == "# Why\n**because** <script>x</script>"
    event = AuditEvent.objects.get(action="run.notes")
    assert (event.actor_name, event.detail) == ("operator", {"characters": 36, "before": 0})
    again = {"notes": run.notes, "version": "whatever"}
    assert "Nothing changed." in body(client.post(f"{address(run)}write/", again, follow=True))
    assert AuditEvent.objects.filter(action="run.notes").count() == 1


def test_a_second_writer_is_told_and_loses_nothing(client, operator, run):
    client.force_login(operator)
    form = {"notes": "from the first", "version": version_of("")}
    client.post(f"{address(run)}write/", form)
    late = client.post(f"{address(run)}write/", {"notes": "from the second", "version": version_of("")})
    text = body(late)
    assert late.status_code == 409
    assert "Somebody changed the notes" in text
    assert "from the second</textarea>" in text
    assert "from the first</pre>" in text
    assert fresh(run).notes == "from the first"
    # What the page now holds saves what was put together.
    assert f'value="{version_of("from the first")}"' in text
    both = {"notes": "from the first\nand the second", "version": version_of("from the first")}
    client.post(f"{address(run)}write/", both)
    assert fresh(run).notes == "from the first\nand the second"


def test_a_viewer_reads_but_does_not_write(client, viewer, run):
    client.force_login(viewer)
    assert "Nobody has written anything" in body(client.get(address(run)))
    Run.objects.update(notes="- one\n- two")
    text = body(client.get(address(run), {"edit": "1"}))
    assert "<ul><li" in text
    assert "<textarea" not in text
    answer = client.post(f"{address(run)}write/", {"notes": "x", "version": version_of("- one\n- two")})
    assert answer.status_code == 403
    assert fresh(run).notes == "- one\n- two"


def test_what_no_database_keeps_is_refused_and_not_lost(client, operator, run):
    client.force_login(operator)
    for notes, word in (("a\x00b", "NUL"), ("x" * (LONGEST + 1), "at most 100,000")):
        answer = client.post(f"{address(run)}write/", {"notes": notes, "version": version_of("")})
        assert answer.status_code == 422
        assert word in body(answer)
    assert client.post(f"{address(run)}write/", {}).status_code == 302
    assert client.get(f"{address(run)}write/").status_code == 405
    assert client.post("/runs/4711/notes/write/", {"notes": "x"}).status_code == 404


def test_the_api_reads_and_writes_notes(client, token_headers, run):
    url = f"/api/training/runs/{run.pk}/notes"
    read, operate = token_headers("read"), token_headers("operate")
    told = client.get(url, headers=read).json()
    assert told == {"run_id": run.pk, "notes": "", "html": "", "version": version_of("")}

    def write(headers, **sent):
        return client.patch(url, sent, content_type="application/json", headers=headers)

    assert write(read, notes="x", version=told["version"]).status_code == 403
    made = write(operate, notes="*x*", version=told["version"])
    assert made.json()["html"] == '<p dir="auto"><em>x</em></p>'
    late = write(operate, notes="y", version=told["version"])
    assert late.status_code == 409
    assert "since you opened them" in late.json()["detail"]
    assert write(operate, notes="y", version=made.json()["version"]).status_code == 200
    assert write(operate, notes="y").status_code == 422
    assert write(operate, notes="\x00", version="").status_code == 400
    assert write(operate, notes="\ud800", version="").status_code in {400, 422}
    assert write(operate, notes="x" * (LONGEST + 1), version="").status_code == 422
    assert client.get("/api/training/runs/4711/notes", headers=read).status_code == 404


def test_a_deleted_run_takes_no_notes(run):
    Run.objects.all().delete()
    with pytest.raises(NotFoundError, match="was deleted meanwhile"):
        save_notes(run, text="x", version=version_of(""))


def test_half_a_character_is_no_text(run):
    with pytest.raises(InvalidInputError, match="no whole character"):
        save_notes(run, text="a\ud800", version=version_of(""))


def test_a_nul_is_named_with_its_place(run):
    with pytest.raises(InvalidInputError, match="Character 3"):
        save_notes(run, text="ab\x00", version=version_of(""))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_write_at_once_one_alone_gets_through(run):
    came: list[str] = []
    gate = threading.Barrier(6)

    def write(number: int) -> None:
        gate.wait()
        try:
            save_notes(run, text=f"writer {number}", version=version_of(""))
            came.append("saved")
        except NotesChangedError:
            came.append("told")
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["saved", *["told"] * 5]
    assert AuditEvent.objects.filter(action="run.notes").count() == 1
