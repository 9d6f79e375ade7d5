"""Files that are broken in one way each: every one gets its own clear error, and changes nothing."""

import gzip
import json
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from datasets_app.imports.decoding import decode_record
from datasets_app.models import Dataset, DatasetTrace, Trace
from datasets_app.traces import TraceError

pytestmark = pytest.mark.django_db

GOOD = {"prompt": "1+1?", "steps": [{"i": 0, "content": "1+1=2"}], "final_answer": "2"}


def native(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def lines(*records: bytes) -> bytes:
    return b"\n".join([native(), *records, b""])


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


ZIPPED = gzip.compress(b"".join(native(prompt=f"prompt {n}") + b"\n" for n in range(300)))

CORPUS: dict[str, tuple[str, bytes, str]] = {
    "empty file": ("a.jsonl", b"", "a.jsonl is empty"),
    "only blank lines": ("a.jsonl", b"\n  \n\n", "holds no record at all"),
    "invalid utf-8": (
        "a.jsonl",
        lines(b'{"prompt": "\xff"}'),
        r"line 2 \(byte \d+\), record: is not UTF-8: byte 12",
    ),
    "utf-16": ("a.jsonl", native().decode().encode("utf-16"), "UTF-16 text"),
    "mark inside": ("a.jsonl", lines(b"\xef\xbb\xbf" + native()), "line 2 .*byte order mark"),
    "nul byte": ("a.jsonl", lines(b'{"prompt": "a\x00b"}'), "line 2 .*NUL byte at byte 13"),
    "escaped nul": ("a.jsonl", lines(native(prompt="a\x00b")), "line 2 .*prompt: has a NUL character"),
    "lone surrogate": ("a.jsonl", lines(native(prompt="a\ud800b")), "line 2 .*lone surrogate.* in prompt"),
    "surrogate in a step": (
        "a.jsonl",
        lines(native(steps=[{"i": 0, "content": "\udfff"}])),
        r"line 2 .*lone surrogate.* in steps\[0\]\.content",
    ),
    "duplicate key": (
        "a.jsonl",
        lines(native()[:-1] + b', "prompt": "x"}'),
        "line 2 .*prompt: is there twice",
    ),
    "duplicate key in a step": (
        "a.jsonl",
        lines(native().replace(b'"i": 0', b'"i": 0, "i" : 1')),
        "line 2 .*i: is there twice",
    ),
    "NaN": ("a.jsonl", lines(native(meta={"x": float("nan")})), "line 2 .*NaN, which is not JSON"),
    "Infinity": ("a.jsonl", lines(native(meta={"x": float("inf")})), "line 2 .*Infinity, which is not JSON"),
    "minus Infinity": ("a.jsonl", lines(native(meta={"x": -float("inf")})), "line 2 .*-Infinity, which"),
    "number out of range": (
        "a.jsonl",
        lines(native()[:-1] + b', "meta": {"x": 1e999}}'),
        "line 2 .*(range|not a JSON number)",
    ),
    "cut off object": ("a.jsonl", lines(native()[:30]), "line 2 .*is cut off"),
    "cut off inside a text": ("a.jsonl", lines(b'{"prompt": "abc'), "line 2 .*is cut off"),
    "single quotes": ("a.jsonl", lines(b"{'prompt': 'x'}"), "line 2 .*is not JSON: Expecting property name"),
    "trailing comma": ("a.jsonl", lines(native()[:-1] + b",}"), "line 2 .*is not JSON"),
    "text after the object": ("a.jsonl", lines(native() + b" x"), "line 2 .*is not JSON: Extra data"),
    "two objects on a line": ("a.jsonl", lines(native() + native()), "line 2 .*Extra data"),
    "raw line break in a text": (
        "a.jsonl",
        lines(b'{"prompt": "a\tb"}'),
        "line 2 .*Invalid control character",
    ),
    "a list as a line": ("a.jsonl", lines(b"[1, 2]"), "line 2 .*is a list; an object"),
    "a number as a line": ("a.jsonl", lines(b"12"), "line 2 .*is a number; an object"),
    "null as a line": ("a.jsonl", lines(b"null"), "line 2 .*is null; an object"),
    "nested too deeply": ("a.jsonl", lines(b"[" * 5000 + b"]" * 5000), "line 2 .*nested too deeply"),
    "prompt missing": ("a.jsonl", lines(without("prompt")), "line 2 .*prompt: is missing"),
    "steps missing": ("a.jsonl", lines(without("steps")), "line 2 .*steps: is missing"),
    "answer missing": ("a.jsonl", lines(without("final_answer")), "line 2 .*final_answer: is missing"),
    "prompt null": ("a.jsonl", lines(native(prompt=None)), "line 2 .*prompt: Expected `str`, got `null`"),
    "prompt a number": ("a.jsonl", lines(native(prompt=7)), "line 2 .*prompt: Expected `str`, got `int`"),
    "empty prompt": ("a.jsonl", lines(native(prompt=" ")), "line 2 .*prompt: is empty"),
    "empty answer": ("a.jsonl", lines(native(final_answer="")), "line 2 .*final_answer: is empty"),
    "empty step": (
        "a.jsonl",
        lines(native(steps=[{"i": 0, "content": ""}])),
        r"line 2 .*steps\[0\]\.content: is empty",
    ),
    "steps a text": ("a.jsonl", lines(native(steps="x")), "line 2 .*steps: Expected `array`, got `str`"),
    "step of a wrong type": (
        "a.jsonl",
        lines(native(steps=[{"i": "0", "content": "x"}])),
        r"line 2 .*steps\[\*\]\.i: Expected `int`|line 2 .*steps\[0\]\.i: Expected `int`",
    ),
    "duplicate step index": (
        "a.jsonl",
        lines(native(steps=[{"i": 3, "content": "a"}, {"i": 3, "content": "b"}])),
        r"line 2 .*steps\[1\]\.i: the index 3 is there twice",
    ),
    "falling step index": (
        "a.jsonl",
        lines(native(steps=[{"i": 3, "content": "a"}, {"i": 2, "content": "b"}])),
        r"line 2 .*steps\[1\]\.i: 2 comes after 3",
    ),
    "negative step index": (
        "a.jsonl",
        lines(native(steps=[{"i": -1, "content": "a"}])),
        r"line 2 .*steps\[0\]\.i: -1 is not an index",
    ),
    "unknown field": ("a.jsonl", lines(native(colour="red")), "line 2 .*colour: is not known here"),
    "unknown split": ("a.jsonl", lines(native(split="dev")), "line 2 .*split: is 'dev'"),
    "unknown version": (
        "a.jsonl",
        lines(native(trace_version="9")),
        "line 2 .*trace_version: '9' is not known",
    ),
    "wrong hash": (
        "a.jsonl",
        lines(native(content_hash="0" * 64)),
        "line 2 .*content_hash: .*it was changed",
    ),
    "text too long": (
        "a.jsonl",
        lines(native(prompt="x" * 200_001)),
        "line 2 .*prompt: has 200001 characters",
    ),
    "licence too long": ("a.jsonl", lines(native(licence="x" * 101)), "line 2 .*licence: has 101 characters"),
    "line too long": ("a.jsonl", lines(native(prompt="x" * 2**20)), "line 2 .*record: is longer than 1 MiB"),
    "no format fits": (
        "a.jsonl",
        b'{"colour": "red"}\n',
        "no format fits its first record with the fields 'colour'",
    ),
    "truncated gzip": ("a.jsonl.gz", ZIPPED[:-40], "gzip data end in the middle"),
    "damaged gzip": ("a.jsonl.gz", ZIPPED[:60] + b"\x00\x01\x02" + ZIPPED[63:], "gzip data"),
    "gzip in name only": ("a.jsonl.gz", native(), "its content is not gzip data"),
    "zip archive": ("a.jsonl", b"PK\x03\x04rest", "is a zip archive"),
    "parquet in name only": ("a.parquet", b"nothing", "does not start with PAR1"),
    "array not closed": ("a.json", b"[" + native() + b",", "the JSON array does not end"),
    "array cut off in an element": ("a.json", b"[" + native()[:20], "the JSON array does not end"),
    "array without a comma": ("a.json", b"[" + native() + native() + b"]", "a comma is missing"),
    "array with an empty place": (
        "a.json",
        b"[" + native() + b",,{}]",
        "an element of the JSON array is missing",
    ),
    "text after the array": ("a.json", b"[" + native() + b"] x", "text after the end of the JSON array"),
    "empty array": ("a.json", b"[]", "holds no record at all"),
    "array of numbers": ("a.json", b"[" + native() + b", 5]", "line 1 .*is a number; an object"),
    "csv without rows": ("a.csv", b"question,answer\n", "holds no record at all"),
    "csv with a short row": (
        "a.csv",
        b"question,answer\nq,a\nq\n",
        "line 3 .*has 1 columns where the header has 2",
    ),
    "csv with a long row": ("a.csv", b"question,answer\nq,a\nq,a,b\n", "line 3 .*has 3 columns"),
    "csv with a column twice": ("a.csv", b"question,question\nq,a\n", "has the column 'question' twice"),
    "csv with an open quote": (
        "a.csv",
        b'question,answer\nq,a\n"q,a\n',
        "line 3 .*is not CSV: unexpected end of data",
    ),
    "csv with bad bytes": ("a.csv", b"question,answer\nq,a\n\xff,a\n", "line 3 .*question: is not UTF-8"),
    "csv with bad bytes in its header": (
        "a.csv",
        b"question,\xff\nq,a\n",
        "names of the columns is not UTF-8",
    ),
    "csv nested too deeply": (
        "a.csv",
        b"prompt,steps,final_answer\np," + b"[" * 100_000 + b",x\n",
        "line 2 .*steps: is nested too deeply",
    ),
    "csv with a lone surrogate": (
        "a.csv",
        b'prompt,steps,final_answer,meta\np,"[""a\\ud800""]",x,"{}"\n',
        r"line 2 .*steps\[0\]: has a lone surrogate",
    ),
    "csv with a nameless column": ("a.csv", b"question,\nq,a\n", "column 2 has no name"),
    "csv with broken steps": ("a.csv", b'question,steps,answer\nq,"[1",a\n', "line 2 .*steps: is not JSON"),
    "gsm8k with nothing after the mark": (
        "a.jsonl",
        b'{"question": "q", "answer": "#### "}\n',
        "answer: has nothing after ####",
    ),
    "gsm8k without a mark": (
        "a.jsonl",
        b'{"question": "q", "answer": "s\\n#### 1"}\n{"question": "q", "answer": "1"}\n',
        "line 2 .*answer: has no line with ####",
    ),
    "messages without an assistant": (
        "a.jsonl",
        b'{"messages": [{"role": "user", "content": "q"}]}\n',
        "the last turn is not the assistant's",
    ),
    "messages of several turns": (
        "a.jsonl",
        json.dumps({"messages": [{"role": r, "content": "x"} for r in ("user", "assistant") * 2]}).encode(),
        r"messages\[1\]\.role: 'assistant': one exchange",
    ),
    "thought not closed": (
        "a.jsonl",
        b'{"prompt": "q", "completion": "<think>hm"}\n',
        "completion: opens <think> and never closes it",
    ),
    "labels of another number": (
        "a.jsonl",
        b'{"prompt": "q", "completions": ["a", "b"], "labels": [true]}\n',
        "labels: has 1 labels for 2 completions",
    ),
    "unknown speaker": (
        "a.jsonl",
        b'{"conversations": [{"from": "dog", "value": "q"}]}\n',
        r"conversations\[0\]\.from: is 'dog'",
    ),
    "sums with a wrong line": ("a.txt", b"1+1=2\n1+=3\n", "line 2 .*is not of the form a\\+b=c"),
}


@pytest.fixture(autouse=True)
def narrow_limits(settings):
    settings.TUNIX_IMPORT_MAX_LINE_MB = 1


@pytest.mark.parametrize("case", CORPUS)
def test_a_broken_file_is_named_and_changes_nothing(case: str, tmp_path: Path):
    name, content, words = CORPUS[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CommandError, match=words) as caught:
        call_command("import_traces", str(path), "--dataset", "mine", stdout=StringIO(), stderr=StringIO())
    assert caught.value.returncode == 1
    assert not Dataset.objects.exists()
    assert not DatasetTrace.objects.exists()
    assert not Trace.objects.exists()


@pytest.mark.parametrize("inside", [b"1", b'"\\ud800"', b'{"a": 1, "a" : 2}'])
def test_no_depth_of_nesting_gets_through(inside: bytes):
    for depth in range(100, 1500, 7):
        with suppress(TraceError):
            decode_record(b'{"meta": ' + b"[" * depth + inside + b"]" * depth + b"}")


def test_the_corpus_is_large_enough():
    assert len(CORPUS) >= 40


@pytest.mark.parametrize(
    "case", [case for case, (_, content, words) in CORPUS.items() if words.startswith("line 2")]
)
def test_the_good_line_is_taken_where_the_import_keeps_going(case: str, tmp_path: Path):
    name, content, _ = CORPUS[case]
    path = tmp_path / name
    path.write_bytes(content)
    out = StringIO()
    if case in {"csv with broken steps", "csv nested too deeply", "csv with a lone surrogate"}:
        return
    call_command(
        "import_traces",
        str(path),
        "--dataset",
        "mine",
        "--keep-going",
        "--json",
        stdout=out,
        stderr=StringIO(),
    )
    answer = json.loads(out.getvalue())
    assert (answer["imported"], answer["refused"]) == (1, 1)
    rejects = [json.loads(line) for line in Path(answer["rejects"]).read_bytes().splitlines()]
    assert [(one["line"], set(one) - {"base64"}) for one in rejects] == [
        (2, {"line", "offset", "field", "reason", "text"})
    ]
