"""Reading ahead in a thread, and the file that is written while its traces are."""

import errno
import json
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import count, islice

import pytest
from django.core.management import call_command

from datasets_app import manifest
from datasets_app.formats import export_lines
from datasets_app.fresh_file import FreshFile
from datasets_app.imports import ahead
from datasets_app.imports.ahead import read_ahead
from datasets_app.selectors import resolve_dataset
from datasets_app.traces_file import TracesFile
from datasets_app.verification import check_datasets


def no_weight(_thing: object) -> int:
    return 0


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("size", [0, 1, 499, 500, 501, 1700])
def test_everything_comes_once_and_in_order(size):
    assert list(read_ahead(iter(range(size)), weigh=no_weight)) == list(range(size))
    assert not readers()


def test_what_came_before_an_error_is_given_before_it():
    def broken() -> Iterator[int]:
        yield from range(620)
        raise EOFError("cut off")

    taken: list[int] = []
    with pytest.raises(EOFError, match="cut off"):
        taken.extend(read_ahead(broken(), weigh=no_weight))
    assert taken == list(range(620))
    assert not readers()


def test_it_reads_no_further_ahead_than_its_queue_and_ends_when_nobody_takes():
    given = count()
    things = read_ahead(given, weigh=no_weight)
    assert list(islice(things, 3)) == [0, 1, 2]
    things.close()
    assert not readers()
    # One batch was taken, one is in the hands of the thread, the rest waits.
    assert next(given) <= (ahead.WAITING + 2) * ahead.BATCH


def test_heavy_things_are_read_ahead_by_their_weight():
    given = count()
    things = read_ahead(given, weigh=lambda _thing: ahead.HEAVY // 4)
    next(things)
    things.close()
    assert next(given) <= (ahead.WAITING + 2) * 4


@pytest.mark.django_db(transaction=True)
def test_the_file_written_beside_is_the_one_that_the_database_gives(tmp_path):
    def row(n: int) -> dict[str, object]:
        meta = {"z": 1.0, "a": {"y": [1e-7, 2], "b": "ü"}} if n % 2 else {}
        steps = [{"i": 2 * i, "type": "think", "content": f"{n}\n#{i}"} for i in range(n % 3)]
        return {"prompt": f"p{n}", "steps": steps, "final_answer": str(n), "meta": meta, "family": "f"}

    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("".join(json.dumps(row(n)) + "\n" for n in range(7)))
    two.write_text("".join(json.dumps(row(n)) + "\n" for n in range(4, 12)))
    for path in (one, two):
        call_command("import_traces", str(path), "--dataset", "mine", stdout=StringIO(), stderr=StringIO())
        dataset = resolve_dataset(address="mine")
        lines = b"".join(export_lines(dataset=dataset, format="trace"))
        assert (manifest.folder_of("mine") / manifest.TRACES).read_bytes() == lines
        assert check_datasets(address="mine")[1] == []
    assert dataset.trace_count == 12


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_refuses_the_file_beside_does_not_end_the_import(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TracesFile, "put_in_place", full)
    monkeypatch.setattr(FreshFile, "add", FailingOnce(FreshFile.add))
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"q{n}", "answer": f"#### {n}"}) + "\n" for n in range(9))
    )
    call_command("import_traces", str(path), "--dataset", "mine", stdout=StringIO(), stderr=StringIO())
    assert check_datasets(address="mine") == (1, [])


class FailingOnce:
    """A method that fails the first time."""

    def __init__(self, plain: Callable[..., None]) -> None:
        self.plain = plain
        self.failed = False

    def __get__(self, instance: object, _owner: object) -> Callable[..., None]:
        def call(line: bytes) -> None:
            if not self.failed:
                self.failed = True
                raise OSError(errno.ENOSPC, "No space left on device")
            self.plain(instance, line)

        return call
