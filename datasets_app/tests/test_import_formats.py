"""Every format: what it reads, and what survives a way out and back."""

import csv
import gzip
import io
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_app.formats import FORMATS, WRITERS, detect, export_lines
from datasets_app.formats.reading import Reading
from datasets_app.imports.limits import Limits
from datasets_app.imports.packed import BITE, open_file, unpacked
from datasets_app.imports.reader import FileReader, Preview
from datasets_app.imports.request import ImportRequest, parse_mapping
from datasets_app.models import Dataset
from datasets_app.publishing import Draft, Member, discard, member_of, publish
from datasets_app.selectors import MemberTrace, member_traces, resolve_dataset
from datasets_app.traces import MAX_STEP_INDEX, Step, TraceRecord
from tunix_site.errors import InvalidInputError

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+3?"}]
SHAPES = [
    ("trace", {"prompt": "p", "steps": [{"i": 0, "content": "s"}], "final_answer": "a"}, ("p", ["s"], "a")),
    (
        "messages",
        {"messages": [*TURNS, {"role": "assistant", "content": "<think>2+3\nis 5</think>5"}]},
        ("Be brief.\n\n2+3?", ["2+3", "is 5"], "5"),
    ),
    (
        "messages",
        {"messages": [TURNS[1], {"role": "assistant", "content": "5", "reasoning_content": "2+3=5"}]},
        ("2+3?", ["2+3=5"], "5"),
    ),
    (
        "sharegpt",
        {
            "system": "Think.",
            "conversations": [
                {"from": "user", "value": "q"},
                {
                    "from": "assistant",
                    "value": "<|begin_of_thought|>\na\n\nb\n<|end_of_thought|>\n"
                    "<|begin_of_solution|>\nso \\boxed{\\frac{1}{2}}\n<|end_of_solution|>",
                },
            ],
        },
        ("q", ["a", "b", "so \\boxed{\\frac{1}{2}}"], "\\frac{1}{2}"),
    ),
    (
        "prm800k",
        {
            "question": {"problem": "q", "ground_truth_answer": "7"},
            "label": {
                "steps": [
                    {
                        "completions": [{"text": "no", "rating": -1}, {"text": "s", "rating": 1}],
                        "chosen_completion": 1,
                    },
                    {"completions": [{"text": "t\n\n# Answer\n\n7", "rating": 1}], "chosen_completion": None},
                ],
                "finish_reason": "solution",
            },
        },
        ("q", ["s", "t"], "7"),
    ),
    ("question_steps", {"question": "q", "steps": ["s", "t"], "answer": 7}, ("q", ["s", "t"], "7")),
    (
        "gsm8k",
        {"question": "q", "answer": "a <<1+1=2>>2\nb\n#### 1,234"},
        ("q", ["a <<1+1=2>>2", "b"], "1,234"),
    ),
    (
        "stepwise",
        {"prompt": "q", "completions": ["s", "t", "The answer is 4."], "labels": [True, True, True]},
        ("q", ["s", "t", "The answer is 4."], "4"),
    ),
    ("prompt_completion", {"prompt": "q", "completion": "s\n#### 4"}, ("q", ["s"], "4")),
    (
        "prompt_completion",
        {"prompt": TURNS[1:], "completion": [{"role": "assistant", "content": "s\n4"}]},
        ("2+3?", ["s"], "4"),
    ),
    ("alpaca", {"instruction": "Add.", "input": "1 2", "output": "3"}, ("Add.\n\n1 2", [], "3")),
    ("problem_solution", {"problem": "q", "solution": "s\nt", "answer": "4"}, ("q", ["s", "t"], "4")),
    ("question_answer", {"prompt": "q", "answer": "4", "rationale": "s"}, ("q", ["s"], "4")),
    ("sft", {"text": "q\ns\n#### 4"}, ("q", ["s"], "4")),
    ("icot", {"line": "q||<<1+1=2>> <<2+2=4>> #### 4"}, ("q", ["<<1+1=2>>", "<<2+2=4>>"], "4")),
    ("equation", {"line": "12+30=42"}, ("12+30=", [], "42")),
]


def parts(reading: Reading) -> tuple[str, list[str], str]:
    record = reading.record
    return record.prompt, [step.content for step in record.steps], record.final_answer


@pytest.mark.parametrize(("name", "fields", "expected"), SHAPES)
def test_each_shape_is_told_and_read(name, fields, expected):
    found = detect([fields])
    assert found is not None
    assert name == found.NAME
    assert parts(FORMATS[name].read(fields)) == expected


def test_every_format_is_tried_here():
    assert {name for name, _, _ in SHAPES} == set(FORMATS)


def test_labels_that_are_not_all_true_are_kept():
    found = FORMATS["stepwise"].read({"prompt": "q", "completions": ["s", "4"], "labels": [False, True]})
    assert found.record.meta == {"labels": [False, True]}


def test_a_trace_that_lacks_its_steps_is_not_read_as_something_else():
    whole: Any = SHAPES[0][1]
    found = detect([whole, {"prompt": "p", "final_answer": "a"}])
    assert found is not None
    assert found.NAME == "trace"


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1).filter(
    str.strip
)
LINE = (
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters="#<|\\"), min_size=1)
    .map(str.strip)
    .filter(bool)
)
INDICES = st.lists(st.integers(0, MAX_STEP_INDEX), max_size=4, unique=True).map(sorted)


@st.composite
def records(draw) -> TraceRecord:
    steps = [Step(draw(TEXT), i, draw(st.sampled_from(["step", "check"]))) for i in draw(INDICES)]
    meta = draw(st.dictionaries(LINE, st.one_of(st.none(), st.integers(-9, 9), LINE), max_size=2))
    return TraceRecord(prompt=draw(TEXT), steps=tuple(steps), final_answer=draw(TEXT), meta=meta)


@st.composite
def plain_records(draw) -> TraceRecord:
    steps = [Step(text, i) for i, text in enumerate(draw(st.lists(LINE, max_size=4)))]
    return TraceRecord(prompt=draw(LINE), steps=tuple(steps), final_answer=draw(LINE))


def as_member(record: TraceRecord, split: str) -> Member:
    return member_of(record, family="f", source="s", licence="l", meta=record.meta, split=split)


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in WRITERS if FORMATS[name].LOSSLESS])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=st.lists(st.tuples(records(), st.sampled_from(["train", "test"])), min_size=1, max_size=5))
def test_a_lossless_format_gives_the_same_content_hash_back(name, content, tmp_path):
    members = [as_member(record, split) for record, split in content]
    made = publish(draft=Draft(key="out", recipe={}), members=lambda: members).dataset
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(export_lines(dataset=made, format=name)))
    answer = StringIO()
    call_command(
        "import_traces",
        str(path),
        "--dataset",
        "back",
        "--json",
        format=name,
        stdout=answer,
        stderr=StringIO(),
    )
    assert json.loads(answer.getvalue())["content_hash"] == made.content_hash
    for dataset in Dataset.objects.all():
        Dataset.objects.filter(pk=dataset.pk).update(status="building", parent=None)
    for dataset in Dataset.objects.all():
        discard(dataset)


@pytest.mark.parametrize(
    "name", ["messages", "prompt_completion", "gsm8k", "sharegpt", "alpaca", "sft", "stepwise"]
)
@settings(max_examples=60, deadline=None)
@given(record=plain_records())
def test_other_formats_carry_traces_whose_steps_are_single_lines(name, record):
    member = MemberTrace(
        position=0,
        split="train",
        content_hash="",
        prompt=record.prompt,
        steps=tuple(step.content for step in record.steps),
        final_answer=record.final_answer,
        family="",
        step_records=record.steps,
        source="",
        licence="",
        meta={},
    )
    written = WRITERS[name](member)
    assert isinstance(written, dict)
    assert FORMATS[name].read(written).record == record


# Containers

ROWS = [{"question": f"q{n}, so?", "steps": [f"s{n}", 'a "b"'], "answer": f"a{n}"} for n in range(60)]
WANTED = [(row["question"], row["steps"], row["answer"]) for row in ROWS]


def read_file(path: Path, **options) -> tuple[Preview, list[Any]]:
    request = ImportRequest(key="mine", **options)
    reader = FileReader(path, name=path.name, request=request, limits=Limits.of_settings())
    preview, *rest = reader.outcomes()
    assert isinstance(preview, Preview)
    return preview, rest


def texts(found: list[Any]) -> list[Any]:
    return [parts(Reading(one.record)) for one in found]


def as_csv(mark: str) -> bytes:
    out = io.StringIO()
    rows = csv.writer(out, delimiter=mark)
    rows.writerow(["question", "steps", "answer"])
    rows.writerows([row["question"], json.dumps(row["steps"]), row["answer"]] for row in ROWS)
    return out.getvalue().encode()


JSONL = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "content", "container"),
    [
        ("a.jsonl", JSONL, "JSON lines"),
        ("a.jsonl", JSONL.rstrip(), "JSON lines"),
        ("a.jsonl", b"\xef\xbb\xbf" + JSONL, "JSON lines"),
        ("a.jsonl", JSONL.replace(b"\n", b"\r\n\r\n"), "JSON lines"),
        ("a.json", json.dumps(ROWS).encode(), "JSON array"),
        ("a.json", json.dumps(ROWS, indent=2).encode(), "JSON array"),
        ("unnamed", json.dumps(ROWS).encode(), "JSON array"),
        ("a.csv", as_csv(","), "CSV"),
        ("a.tsv", as_csv("\t"), "CSV"),
        ("unnamed", as_csv(";"), "CSV"),
        ("a.jsonl.gz", gzip.compress(JSONL), "JSON lines"),
        ("a.csv.gz", gzip.compress(as_csv(",")), "CSV"),
        ("unnamed", gzip.compress(JSONL) + gzip.compress(b""), "JSON lines"),
    ],
)
def test_each_container_gives_the_same_traces(name, content, container, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    preview, found = read_file(path)
    assert (preview.format, preview.container, len(preview.traces)) == ("question_steps", container, 3)
    assert texts(found) == WANTED
    assert bool(preview.notes) == content.startswith(b"\xef")


def test_parquet_is_read_where_pyarrow_is_there(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra “parquet” is not installed")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    preview, found = read_file(path)
    assert (preview.container, texts(found)) == ("Parquet", WANTED)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInputError, match="the Parquet data are damaged"):
        read_file(path)


def test_zstd_that_unpacks_to_far_more_is_unpacked_by_small_pieces(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="the extra “parquet” is not installed")
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(b"a" * (256 << 20)))
    assert path.stat().st_size > 4 * BITE
    with open_file(path) as raw:
        assert unpacked(raw, path.name).read(3) == b"aaa"
        assert raw.tell() <= 2 * BITE


def test_zstd_is_read_where_something_can(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="the extra “parquet” is not installed")
    path = tmp_path / "a.jsonl.zst"
    packed = zstandard.compress(JSONL)
    path.write_bytes(packed + zstandard.compress(b"\n"))
    assert texts(read_file(path)[1]) == WANTED
    path.write_bytes(packed[:-10])
    with pytest.raises(InvalidInputError, match="zstd data end in the middle"):
        read_file(path)


def test_what_is_not_installed_is_named_with_the_extra(tmp_path, monkeypatch):
    import sys

    for missing in ("pyarrow", "zstandard", "compression"):
        monkeypatch.setitem(sys.modules, missing, None)
    for name, start, words in (
        ("a.parquet", b"PAR1....", "Parquet"),
        ("a.zst", b"\x28\xb5\x2f\xfd....", "zstd"),
    ):
        path = tmp_path / name
        path.write_bytes(start)
        with pytest.raises(InvalidInputError, match=f"{words}.*Install the extra “parquet”"):
            read_file(path)


def test_plain_lines_are_told_from_csv(tmp_path):
    path = tmp_path / "sums.txt"
    path.write_text("1+1=2\n10+20=30\n")
    preview, found = read_file(path)
    assert (preview.format, texts(found)) == ("equation", [("1+1=", [], "2"), ("10+20=", [], "30")])


def test_unknown_names_are_mapped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "q", "target": "4"}\n{"target": "5"}\n')
    preview, found = read_file(path, mapping=parse_mapping("prompt=body,answer=target"))
    assert (preview.format, preview.mapping) == ("question_answer", {"prompt": "body", "answer": "target"})
    assert texts(found[:1]) == [("q", [], "4")]
    assert str(found[1]).startswith("line 2 (byte 29), body: is missing")


@pytest.mark.parametrize("text", ["prompt", "=a", "a=", "a=b,a=c"])
def test_a_mapping_that_makes_no_sense_is_refused(text):
    with pytest.raises(InvalidInputError, match="--map"):
        parse_mapping(text)


@pytest.mark.django_db
def test_an_export_of_the_seed_comes_back(tmp_path):
    call_command("seed_dataset", dataset="golden-v2", stdout=StringIO())
    seeded = resolve_dataset(address="golden-v2")
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"".join(export_lines(dataset=seeded, format="trace")))
    call_command("import_traces", str(path), dataset="back", stdout=StringIO(), stderr=StringIO())
    back = resolve_dataset(address="back")
    assert back.content_hash == seeded.content_hash
    kept = [(one.family, one.source, one.licence, one.meta) for one in member_traces(dataset=back)]
    assert kept == [(one.family, one.source, one.licence, one.meta) for one in member_traces(dataset=seeded)]
