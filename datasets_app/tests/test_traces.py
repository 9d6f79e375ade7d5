"""The trace: identity, rules, split."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.traces import (
    ContentHasher,
    Step,
    TraceError,
    TraceRecord,
    canonical_json,
    make_trace,
    normalise_prompt,
    prompt_hash,
    split_of,
    trace_hash,
    validate_trace,
)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1).filter(
    lambda text: bool(text.strip())
)


def record(**changes) -> TraceRecord:
    given_fields = {"prompt": "1+1", "steps": (Step(i=0, content="1+1=2"),), "final_answer": "2"}
    return TraceRecord(**(given_fields | changes))


def test_the_canonical_form_is_sorted_tight_and_plain_utf8():
    written = canonical_json("wie groß?", [Step(i=1, type="think", content="é\n")], "2")
    assert written.decode() == (
        '{"final_answer":"2","prompt":"wie groß?","steps":[{"content":"é\\n","i":1,"type":"think"}]}'
    )


def test_the_identity_is_the_sha256_of_the_canonical_form():
    steps = [Step(i=0, content="1+1=2")]
    expected = hashlib.sha256(canonical_json("1+1", steps, "2")).hexdigest()
    assert trace_hash("1+1", steps, "2") == expected
    assert expected == "1db36c03b6fb26df29af0d8e70bd047a3c7625e22745a7264149d7097fc96787"


@pytest.mark.parametrize(
    "other",
    [
        record(prompt="1+2"),
        record(final_answer="3"),
        record(steps=()),
        record(steps=(Step(i=1, content="1+1=2"),)),
        record(steps=(Step(i=0, content="1+1=2", type="add"),)),
    ],
)
def test_every_part_of_a_trace_decides_its_identity(other):
    one = record()
    assert trace_hash(one.prompt, one.steps, one.final_answer) != trace_hash(
        other.prompt, other.steps, other.final_answer
    )


@given(prompt=texts, contents=st.lists(texts, max_size=4), answer=texts)
def test_the_canonical_form_reads_back_to_the_same_trace(prompt, contents, answer):
    trace = make_trace(prompt=prompt, steps=contents, final_answer=answer)
    validate_trace(trace)
    back = json.loads(canonical_json(trace.prompt, trace.steps, trace.final_answer))
    assert (back["prompt"], back["final_answer"]) == (prompt, answer)
    assert [(step["i"], step["content"]) for step in back["steps"]] == list(enumerate(contents))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"prompt": " \n"}, "prompt", "is empty"),
        ({"prompt": "a\x00b"}, "prompt", "NUL character at position 1"),
        ({"prompt": "a\ud800"}, "prompt", "lone surrogate at position 1"),
        ({"prompt": "a" * 200_001}, "prompt", "at most 200000"),
        ({"final_answer": ""}, "final_answer", "is empty"),
        ({"steps": (Step(i=-1, content="x"),)}, "steps[0].i", "-1 is not an index"),
        ({"steps": (Step(i=2**31, content="x"),)}, "steps[0].i", "is not an index"),
        ({"steps": (Step(i=0, content="x"), Step(i=0, content="y"))}, "steps[1].i", "there twice"),
        ({"steps": (Step(i=3, content="x"), Step(i=1, content="y"))}, "steps[1].i", "must rise"),
        ({"steps": (Step(i=0, content=""),)}, "steps[0].content", "is empty"),
        ({"steps": (Step(i=0, content="x\udfff"),)}, "steps[0].content", "lone surrogate"),
        ({"steps": (Step(i=0, content="x", type="t" * 65),)}, "steps[0].type", "at most 64"),
        ({"steps": tuple(Step(i=i, content="x") for i in range(10_001))}, "steps", "at most 10000"),
        ({"meta": {"a": float("nan")}}, "meta.a", "not a JSON number"),
        ({"meta": {"a": ["\x00"]}}, "meta.a[0]", "NUL"),
        ({"meta": {"\ud800": 1}}, "meta key", "lone surrogate"),
        ({"meta": {"a": "x" * 64_001}}, "meta", "at most 64000"),
        ({"trace_version": "2.0"}, "trace_version", "'2.0' is not known"),
    ],
)
def test_a_broken_rule_is_named_with_its_field(changes, field, words):
    with pytest.raises(TraceError) as caught:
        validate_trace(record(**changes))
    assert caught.value.field == field
    assert words in str(caught.value)


def test_deeply_nested_meta_is_refused():
    meta: dict[str, object] = {}
    for _ in range(30):
        meta = {"a": meta}
    with pytest.raises(TraceError, match="nested deeper"):
        validate_trace(record(meta=meta))


@pytest.mark.parametrize(
    "same", ["What is  2 + 2?", " what IS\t2 + 2?\n", "ｗｈａｔ is ２ + 2?", "what is\u00a02 + 2?"]
)
def test_prompts_that_differ_only_in_form_are_one_prompt(same):
    assert prompt_hash(same) == prompt_hash("What is 2 + 2?")


@given(st.text(st.characters(codec="utf-8")))
def test_normalising_twice_is_normalising_once(text):
    once = normalise_prompt(text)
    assert normalise_prompt(once) == once


def test_one_prompt_in_ten_is_for_testing():
    sides = [split_of(prompt_hash(f"prompt {number}")) for number in range(5000)]
    assert 440 < sides.count("test") < 560


def test_the_content_hash_covers_order_traces_and_splits():
    def digest(*entries: tuple[str, str]) -> str:
        hasher = ContentHasher()
        for split, content_hash in entries:
            hasher.add(split=split, content_hash=content_hash)
        return hasher.hexdigest()

    a, b = "a" * 64, "b" * 64
    contents = [
        digest(("train", a), ("train", b)),
        digest(("train", b), ("train", a)),
        digest(("train", a), ("test", b)),
        digest(("train", a)),
    ]
    assert len(set(contents)) == 4
