"""CSV and JSONL: wide and long tables, words for what is not finite, errors with line and column."""

import json
import time

import pytest

from runs.interchange import text_lines
from runs.interchange.tests.support import read
from tunix_site.errors import InvalidInputError


@pytest.fixture
def table(tmp_path):
    def write(text, name="metrics.csv"):
        path = tmp_path / name
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return path

    return write


def points(path, **reading):
    ((_, found),) = read(path, **reading)
    return found


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_wide_table_has_a_column_a_metric(table, mark):
    rows = [
        ["step", "time", "loss", "acc, all"],
        ["1", "1700000000", "0.5", ""],
        ["2", "1700000001", "1e-3", "nan"],
    ]
    path = table("\n".join(mark.join(f'"{cell}"' for cell in row) for row in rows))
    assert points(path) == {"loss": [(1, 0.5, ""), (2, 0.001, "")], "acc, all": [(2, None, "nan")]}


def test_a_long_table_has_a_row_a_point(table):
    path = table(
        "metric,step,value,wall_time\na,1,2,1700000000\nb,1,-inf,1700000000\na,2,Infinity,1700000000\n"
    )
    assert points(path) == {"a": [(1, 2.0, ""), (2, None, "inf")], "b": [(1, None, "-inf")]}


def test_a_column_of_runs_splits_a_table(table):
    found = read(table("run,step,loss\none,1,1\ntwo,1,2\none,2,3\n"), name="old")
    assert {run.name: values["loss"] for run, values in found} == {
        "old/one": [(1, 1.0, ""), (2, 3.0, "")],
        "old/two": [(1, 2.0, "")],
    }


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (("1700000000", "1700000001.5"), (1700000000.0, 1700000001.5)),
        (("1700000000000", "1700000001500"), (1700000000.0, 1700000001.5)),
        (("2023-11-14T22:13:20Z", "2023-11-14 22:13:21.5"), (1700000000.0, 1700000001.5)),
    ],
)
def test_times_are_seconds_milliseconds_or_iso_8601(table, times, expected):
    ((run, _),) = read(table(f"step,time,x\n1,{times[0]},1\n2,{times[1]},1\n"))
    assert (run.started_at, run.finished_at) == expected


def test_a_table_without_times_says_that_it_tells_none(table):
    ((run, _),) = read(table("step,x\n1,1\n"))
    assert "tells no times" in run.notices[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column holds the steps"),
        ("a,b\n1,2\n", "line 1: no column holds the steps (there are: a, b)"),
        ("step,x,x\n1,2,3\n", "line 1: the column 'x' is there twice"),
        ("step,x\n1,2\n2,abc\n", "line 3, column x: 'abc' is no number"),
        ("step,x\n1,1_000\n", "line 2, column x: '1_000' is no number"),
        ("step,x\n1,2\nx,2\n", "line 3, column step: 'x' is no step"),
        ("step,x\n1.5,2\n", "line 2, column step: '1.5' is no step"),
        ("step,x\nnan,2\n", "line 2, column step: 'nan' is no step"),
        ("step,x\n-1,2\n", "line 2: step -1 is not between"),
        ("step,x\n99999999999,2\n", "line 2: step 99999999999 is not between"),
        ("step,x\n1\n", "line 2: 1 cells where the header has 2"),
        ("step,time,x\n1,soon,2\n", "line 2, column time: 'soon' is no time"),
        ("step,time,x\n1,1e300,2\n", "is no time"),
        ("step,time,x\n1,9999-12-31T23:59:59-12:00,2\n", "is no time"),
        ("step,x\r1,2\r", "line 1: its lines end with CR alone"),
        ('step,x\n1,"2\n', "line 2"),
        (b"step,x\n1,\xff\n", "line 2: byte 2 is no UTF-8"),
        ("step,x\n1,\n", "holds no value of any metric"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_column(table, text, said):
    with pytest.raises(InvalidInputError) as caught:
        read(table(text))
    assert said in caught.value.message


def test_a_header_of_very_many_columns_takes_no_time(table):
    names = ",".join(map(str, range(50_000)))
    began = time.perf_counter()
    with pytest.raises(InvalidInputError, match="the column '7' is there twice"):
        read(table(f"step,{names},7\n"))
    assert time.perf_counter() - began < 5


def test_a_column_can_be_left_out_and_the_steps_column_named(table):
    path = table("tick,x,comment\n1,2,words\n2.0,3,more\n")
    with pytest.raises(InvalidInputError, match="--step-column"):
        read(path)
    with pytest.raises(InvalidInputError, match="--ignore 'comment'"):
        read(path, step_column="tick")
    found = points(path, step_column="tick", ignore=frozenset({"comment"}))
    assert found == {"x": [(1, 2.0, ""), (2, 3.0, "")]}


def test_a_line_without_an_end_takes_no_memory(table, monkeypatch):
    monkeypatch.setattr(text_lines, "MAX_LINE", 100)
    with pytest.raises(InvalidInputError, match="line 2: longer than"):
        read(table("step,x\n" + "1" * 1000))


def test_jsonl_is_read_wide_with_nested_names_and_words_are_counted(table):
    rows = [
        {
            "_step": 1,
            "_timestamp": 1700000000.5,
            "loss": 0.5,
            "eval": {"acc": 1, "deep": {"x": 2}},
            "note": "hi",
        },
        {"_step": 2, "loss": float("nan"), "flag": True, "eval": None, "list": [1]},
        {"_step": 3, "loss": "-Infinity"},
    ]
    path = table("\n".join(map(json.dumps, rows)), "history.jsonl")
    ((run, found),) = read(path)
    assert found == {
        "loss": [(1, 0.5, ""), (2, None, "nan"), (3, None, "-inf")],
        "eval.acc": [(1, 1.0, "")],
        "eval.deep.x": [(1, 2.0, "")],
    }
    assert any("1 values of note are no numbers" in notice for notice in run.notices)


def test_jsonl_is_read_long_and_overtaken_points_stay_out(table):
    rows = [
        {"name": "a", "step": 1, "value": 2, "time": 1700000000, "attempt": 1},
        {"name": "a", "step": 2, "value": None, "non_finite": "inf"},
        {"name": "a", "step": 3, "value": 9, "superseded": True},
    ]
    assert points(table("\n".join(map(json.dumps, rows)), "x.jsonl")) == {
        "a": [(1, 2.0, ""), (2, None, "inf")]
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2: no object but list"),
        ("[" * 100_000, "line 2 is no JSON: nested too deeply"),
        ('{"step": true, "x": 1}', "column step: True is no step"),
        ('{"x": 1}', "column step: None is no step"),
        ('{"step": 1, "x": ' + "9" * 400 + "}", "column x: 999"),
        ('{"step": 1, "x": ' + "9" * 5000 + "}", "line 2 is no JSON"),
    ],
)
def test_lines_that_are_no_rows_are_named(table, line, said):
    with pytest.raises(InvalidInputError) as caught:
        read(table('{"step": 0, "x": 1}\n' + line, "x.jsonl"))
    assert said in caught.value.message


def test_objects_nested_beyond_reason_do_no_harm(table):
    deep = '{"a":' * 400 + "1" + "}" * 400
    path = table(f'{{"step": 1, "x": 1, "y": {deep}}}', "x.jsonl")
    assert points(path) == {"x": [(1, 1.0, "")]}


def test_the_identity_is_made_of_name_and_first_point_and_survives_growth(table):
    one = read(table("step,x\n1,1\n"))[0][0].identity
    assert read(table("step,x\n1,1\n2,2\n"))[0][0].identity == one
    assert read(table("step,x\n1,1\n"), name="other")[0][0].identity != one
    assert read(table("step,x\n1,7\n"))[0][0].identity != one
