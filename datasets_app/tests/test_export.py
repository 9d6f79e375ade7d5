"""export_dataset: every format, to a file or to standard output."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from datasets_app.formats import export_lines
from datasets_app.selectors import resolve_dataset
from datasets_app.services import seed_dataset
from datasets_app.traces import ContentHasher, Step, trace_hash
from tunix_site.errors import InvalidInputError

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def golden():
    return seed_dataset(key="golden-v1").dataset


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("export_dataset", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_trace_format_carries_the_whole_content(golden):
    hasher = ContentHasher()
    for line in run("golden-v1").splitlines():
        trace = json.loads(line)
        steps = [Step(**step) for step in trace["steps"]]
        hasher.add(
            split=trace["split"], content_hash=trace_hash(trace["prompt"], steps, trace["final_answer"])
        )
    assert hasher.hexdigest() == golden.content_hash


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "sft",
            {
                "text": "A shelf holds 4 rows of 6 jars. 5 jars are empty. How many are full?\n"
                "4 rows of 6 jars are 4 * 6 = 24 jars\n24 - 5 = 19 jars are full\n#### 19"
            },
        ),
        (
            "messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": "A shelf holds 4 rows of 6 jars. 5 jars are empty. How many are full?",
                    },
                    {
                        "role": "assistant",
                        "content": "4 rows of 6 jars are 4 * 6 = 24 jars\n24 - 5 = 19 jars are full\n#### 19",
                    },
                ]
            },
        ),
        (
            "prompt_completion",
            {
                "prompt": "A shelf holds 4 rows of 6 jars. 5 jars are empty. How many are full?",
                "completion": "4 rows of 6 jars are 4 * 6 = 24 jars\n24 - 5 = 19 jars are full\n#### 19",
            },
        ),
    ],
)
def test_each_format_has_its_shape(form, expected):
    first = run("golden-v1", "--format", form).splitlines()[0]
    assert json.loads(first) == expected


def test_a_file_is_written_whole_and_described(tmp_path, golden):
    path = tmp_path / "out.jsonl"
    answer = json.loads(run("golden-v1", "--format", "sft", "-o", str(path), "--json"))
    assert (answer["key"], answer["content_hash"], answer["lines"]) == ("golden-v1", golden.content_hash, 5)
    assert path.stat().st_size == answer["bytes"]
    assert [entry.name for entry in tmp_path.glob("*.jsonl")] == ["out.jsonl"]


def test_one_split_can_be_exported(golden):
    assert len(run("golden-v1", "--split", "test").splitlines()) == golden.test_count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "There is no dataset 'nope'"),
        (["golden-v1", "-o", "/nowhere/out.jsonl"], "could not be written"),
        (["golden-v1", "--json"], "--json needs -o FILE"),
    ],
)
def test_a_wrong_call_ends_with_a_message(arguments, words):
    with pytest.raises(CommandError, match=words) as caught:
        run(*arguments)
    assert caught.value.returncode == 1


def test_an_unknown_format_is_refused():
    with pytest.raises(InvalidInputError, match="Formats: trace, sft"):
        export_lines(dataset=resolve_dataset(address="golden-v1"), format="xml")


def export_to(path: Path) -> None:
    call_command("export_dataset", "golden-v1", "-o", str(path), stdout=StringIO(), stderr=StringIO())


def test_an_export_follows_a_link_and_keeps_the_mode_of_what_it_replaces(tmp_path):
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("before")
    target.chmod(0o600)
    link.symlink_to(target)
    export_to(link)
    assert link.is_symlink()
    assert len(target.read_bytes().splitlines()) == 5
    assert target.stat().st_mode & 0o777 == 0o600


def test_an_export_writes_to_a_pipe_and_does_not_replace_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(pipe.read_bytes)
        export_to(pipe)
        assert len(taken.result(10).splitlines()) == 5
    assert pipe.is_fifo()
