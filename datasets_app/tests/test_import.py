"""The way of an import into the database: all or nothing, again and again, killed or cancelled."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command

from datasets_app import manifest
from datasets_app.imports import work
from datasets_app.imports.errors import CancelledError
from datasets_app.imports.outcome import Outcome, Watch
from datasets_app.imports.queue import cancel_import
from datasets_app.imports.rejects import folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.imports.run import carry_out, open_import
from datasets_app.imports.sweeping import sweep_imports
from datasets_app.models import Dataset, DatasetTrace, Import, Trace
from datasets_app.selectors import list_datasets, member_traces, resolve_dataset
from datasets_app.services import seed_dataset
from datasets_app.verification import check_datasets
from tunix_site.errors import ConflictError, UserError

pytestmark = pytest.mark.django_db


def lines_of(count: int, *, start: int = 0, **more: object) -> bytes:
    rows = ({"question": f"q{n}", "answer": f"s\n#### {n}", **more} for n in range(start, start + count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    def make(content: bytes, name: str = "a.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


def import_file(path: Path, *more: str) -> dict[str, Any]:
    out = StringIO()
    call_command(
        "import_traces", str(path), "--json", "--dataset", "mine", *more, stdout=out, stderr=StringIO()
    )
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


@pytest.mark.django_db(transaction=True)
def test_the_answer_has_the_facts_of_the_contract(make_file):
    answer = import_file(make_file(lines_of(20)))
    assert {"key", "content_hash", "imported", "refused", "seconds"} <= set(answer)
    assert (answer["key"], answer["imported"], answer["refused"]) == ("mine", 20, 0)
    assert answer["content_hash"] == resolve_dataset(address="mine").content_hash
    call_command("check_datasets", "mine", stdout=StringIO())


def test_the_same_file_again_changes_nothing(make_file):
    path = make_file(lines_of(20))
    first = import_file(path)
    again = import_file(path)
    assert (again["content_hash"], again["imported"], again["existing"]) == (first["content_hash"], 0, 20)
    assert Dataset.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_second_split_is_added_to_what_was_there(make_file):
    import_file(make_file(lines_of(20)), "--split", "train", "--source", "here", "--licence", "MIT")
    first = resolve_dataset(address="mine")
    answer = import_file(make_file(lines_of(5, start=15)), "--split", "test")
    both = resolve_dataset(address="mine")
    assert both.parent == first
    assert (both.train_count, both.test_count, answer["imported"], answer["overlap"]) == (20, 5, 5, 5)
    found = list(member_traces(dataset=both))
    assert [one.split for one in found] == ["train"] * 20 + ["test"] * 5
    assert [one.position for one in found] == list(range(25))
    assert {one.source for one in found[:20]} == {"here"}
    call_command("check_datasets", "mine", stdout=StringIO())


def test_a_line_that_names_its_split_is_put_there_and_a_flag_wins(make_file):
    import_file(make_file(lines_of(10, split="test")))
    assert resolve_dataset(address="mine").test_count == 10
    call_command(
        "import_traces",
        str(make_file(lines_of(10, split="test"))),
        dataset="flag",
        split="train",
        stdout=StringIO(),
        stderr=StringIO(),
    )
    assert resolve_dataset(address="flag").train_count == 10


def test_provenance_of_the_line_wins_over_that_of_the_flags(make_file):
    path = make_file(lines_of(1, source="own", meta={"level": 2}) + lines_of(1, start=1))
    import_file(path, "--source", "flag", "--licence", "MIT")
    found = [
        (one.source, one.licence, one.meta) for one in member_traces(dataset=resolve_dataset(address="mine"))
    ]
    assert found == [("own", "MIT", {"level": 2}), ("flag", "MIT", {})]


def test_refused_lines_late_in_the_file_undo_what_was_written(make_file, monkeypatch):
    monkeypatch.setattr(work, "FIRST_BATCH", 5)
    seed_dataset(key="golden-v1")
    before = set(Trace.objects.values_list("pk", flat=True))
    with pytest.raises(
        CommandError, match=r"2 of 32 records of a.jsonl were refused, so nothing was changed"
    ):
        import_file(make_file(lines_of(30) + b"{}\nnonsense\n"))
    assert set(Trace.objects.values_list("pk", flat=True)) == before
    row = Import.objects.get()
    assert (row.status, row.refused, row.unpublished) == ("failed", 2, None)
    assert Dataset.objects.count() == 1


def test_a_dry_run_shows_all_and_changes_nothing(make_file):
    out = StringIO()
    path = make_file(lines_of(20) + b"{}\n")
    call_command("import_traces", str(path), dataset="mine", dry_run=True, stdout=out, stderr=StringIO())
    said = out.getvalue()
    for words in (
        "Format: gsm8k (JSON lines)",
        "question ← question",
        "Trace 3",
        "20 traces to import, 1 refused",
    ):
        assert words in said
    assert not Dataset.objects.exists()
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TUNIX_IMPORT_MAX_ROWS", 10, "more than 10 records"),
        ("TUNIX_IMPORT_MAX_MB", 1, "holds more than 1 MiB, unpacked"),
    ],
)
def test_a_limit_ends_the_import_even_where_it_keeps_going(make_file, settings, name, value, words):
    setattr(settings, name, value)
    with pytest.raises(CommandError, match=words):
        import_file(make_file(lines_of(30_000)), "--keep-going")
    assert not Trace.objects.exists()


def test_too_many_steps_are_refused(make_file, settings):
    settings.TUNIX_IMPORT_MAX_STEPS = 1
    with pytest.raises(CommandError, match="steps: 2 steps; at most 1 are allowed"):
        import_file(make_file(b'{"question": "q", "answer": "a\\nb\\n#### 1"}'))


def test_a_cancelled_import_leaves_nothing(make_file, monkeypatch):
    monkeypatch.setattr(work, "FIRST_BATCH", 5)
    monkeypatch.setattr(work, "LARGEST_BATCH", 5)
    monkeypatch.setattr(work, "TOLD_EVERY", 0.0)
    path = make_file(lines_of(50))
    row = open_import(request=ImportRequest(key="mine"), name=path.name, size=path.stat().st_size)

    def cancel(_done: int, outcome: Outcome) -> None:
        if outcome.imported >= 20:
            Import.objects.filter(pk=row.pk).update(cancel_asked=True)

    with pytest.raises(CancelledError):
        carry_out(row=row, path=path, watch=Watch(progressed=cancel))
    row.refresh_from_db()
    assert (row.status, Trace.objects.exists(), Dataset.objects.exists()) == ("cancelled", False, False)


def test_one_that_was_cancelled_before_it_began_is_not_carried_out(make_file):
    path = make_file(lines_of(5))
    row = open_import(request=ImportRequest(key="mine"), name=path.name, size=1)
    cancel_import(import_id=row.pk)
    with pytest.raises(CancelledError, match="Nothing was changed"):
        carry_out(row=row, path=path)
    row.refresh_from_db()
    assert (row.status, Trace.objects.exists()) == ("cancelled", False)


def test_one_that_is_spoilt_can_still_be_cancelled(make_file, monkeypatch):
    monkeypatch.setattr(work, "TOLD_EVERY", 0.0)
    path = make_file(b"{}\n" + lines_of(50))
    row = open_import(request=ImportRequest(key="mine"), name=path.name, size=1)

    def cancel(_done: int, _outcome: Outcome) -> None:
        Import.objects.filter(pk=row.pk).update(cancel_asked=True)

    with pytest.raises(CancelledError):
        carry_out(row=row, path=path, watch=Watch(progressed=cancel))
    row.refresh_from_db()
    assert (row.status, row.refused) == ("cancelled", 1)


def test_what_was_published_meanwhile_is_not_overwritten(make_file):
    path = make_file(lines_of(5))
    row = open_import(request=ImportRequest(key="mine"), name=path.name, size=1)

    def other(_outcome: Outcome) -> None:
        import_file(make_file(lines_of(3, start=50), "b.jsonl"))

    with pytest.raises(ConflictError, match="something else was published meanwhile"):
        carry_out(row=row, path=path, watch=Watch(counted=other))
    assert resolve_dataset(address="mine").trace_count == 3
    assert Trace.objects.count() == 3


SLOWLY = """
import sys, time, django
django.setup()
from pathlib import Path
from datasets_app.imports import run, work
from datasets_app.imports.queue import cancel_import
from datasets_app.imports.outcome import Watch
from datasets_app.imports.request import ImportRequest
work.FIRST_BATCH = work.LARGEST_BATCH = 20
work.TOLD_EVERY = 0.0
path = Path(sys.argv[1])
row = run.open_import(request=ImportRequest(key="mine"), name=path.name, size=path.stat().st_size)
def told(_done, outcome):
    print(outcome.imported, flush=True)
    time.sleep(0.02)
run.carry_out(row=row, path=path, watch=Watch(progressed=told))
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("written", [20, 60, 140])
def test_an_import_killed_anywhere_shows_nothing_and_is_swept(make_file, process_database, written):
    path = make_file(lines_of(400))
    child = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(path)],
        cwd=site.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tunix_site.settings"},
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= written:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert Trace.objects.count() >= written, "it was killed in the middle of its work"
    assert not list_datasets().exists()
    assert sweep_imports() == 1
    assert not Trace.objects.exists()
    assert not DatasetTrace.objects.exists()
    assert not Dataset.objects.exists()
    row = Import.objects.get()
    assert row.status == "failed"
    assert not folder_of(row.pk).exists()
    assert import_file(path)["imported"] == 400


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_after_publishing_has_completed_its_import(make_file, monkeypatch):
    import_file(make_file(lines_of(20)))
    dataset = resolve_dataset(address="mine")
    for path in manifest.folder_of("mine").iterdir():
        path.unlink()
    row = open_import(request=ImportRequest(key="mine"), name="a.jsonl", size=1)
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = socket.gethostname()
    Import.objects.filter(pk=row.pk).update(
        status="running", unpublished=dataset, host=here, process=ended.pid
    )
    folder_of(row.pk).mkdir(parents=True)
    (folder_of(row.pk) / "upload").write_text("left")
    assert sweep_imports() == 1
    assert not folder_of(row.pk).exists()
    row.refresh_from_db()
    assert (row.status, row.dataset, row.unpublished, row.error) == ("completed", dataset, None, "")
    assert "published" in row.notes[0]
    assert check_datasets(address="mine") == (1, []), "the files were written anew"


@pytest.mark.django_db(transaction=True)
def test_an_import_whose_files_cannot_be_written_says_that_the_traces_are_in(make_file, monkeypatch):
    def refuse(**_: object) -> None:
        raise UserError("The disk is full.")

    monkeypatch.setattr(manifest, "write_files", refuse)
    with pytest.raises(CommandError, match="The disk is full"):
        import_file(make_file(lines_of(20)))
    row = Import.objects.get()
    assert (row.status, row.imported, row.error) == ("completed", 20, "")
    assert row.notes == ["The disk is full."]
    assert resolve_dataset(address="mine") == row.dataset


GSM8K_ANSWER = re.compile(r"#### (\-?[0-9\.\,]+)")


def test_gsm8k_comes_in_whole():
    given = os.environ.get("TUNIX_TEST_DATA")
    if not given:
        pytest.skip("TUNIX_TEST_DATA does not name the folder with the real data sets")
    for split, count in (("train", 7473), ("test", 1319)):
        path = Path(given) / "gsm8k" / f"{split}.jsonl"
        answer = import_file(path, "--split", split)
        assert (answer["imported"], answer["refused"]) == (count, 0)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found = list(member_traces(dataset=resolve_dataset(address="mine"), split=split))
        assert [one.prompt for one in found] == [row["question"] for row in rows]
        wanted = [match[1] for row in rows if (match := GSM8K_ANSWER.search(row["answer"]))]
        assert [one.final_answer for one in found] == wanted
