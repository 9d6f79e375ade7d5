"""What must hold of every trace, whatever it says: prefix, round trip, streaming, special tokens."""

import re

import pytest

pytest.importorskip("tokenizers")

from hypothesis import given, settings
from hypothesis import strategies as st

from training.examples import TraceExample
from training.hf.encoder import longest_of
from training.hf.tests.support import load
from training.hf.text import HfForm
from training.text_form import BYTES

FORMS: dict[tuple[str, str], HfForm] = {}
MARKS = [
    "<|im_end|>",
    "</s>",
    "<think>",
    "</think>",
    "<|eot_id|>",
    "\\",
    "\n",
    "\\n",
    "\\?",
    " ",
    "#",
    "▁",
    "🦜",
]
TEXTS = st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=6)), max_size=5).map("".join)
SOME = settings(deadline=None, max_examples=25)
KINDS = [
    ("qwen2-generation", "plain"), ("qwen3", "reasoning_content"), ("llama3", "think"), ("gemma", "think"),
    ("tinyllama", "plain"), ("mistral", "think"), ("r1", "think"), ("base-bytes", "plain"), ("base-pieces",
    "plain"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def forms(tmp_path_factory):
    for shape, reasoning in KINDS:
        FORMS[shape, reasoning] = load(tmp_path_factory.mktemp("model"), shape, reasoning=reasoning)


def known(text):
    """A text as a tokenizer can take it, without the whitespace around it that templates trim.

    One that writes spaces as ▁ cannot tell the two apart.
    """
    text = text.replace("▁", " ")
    return "".join(
        "\ufffd" if 0xD800 <= ord(one) < 0xE000 or 0xFDD0 <= ord(one) < 0xFDF0 else one for one in text
    ).strip()


@SOME
@given(TEXTS, st.lists(TEXTS, max_size=4), TEXTS)
def test_the_prompt_is_the_beginning_and_steps_and_answer_are_read_back(prompt, steps, answer):
    steps = tuple(known(step) or "step" for step in steps)
    example = TraceExample("", known(prompt) or "prompt", steps, known(answer) or "answer")
    for (shape, reasoning), form in FORMS.items():
        ids, size = form.trace(example, "trace")
        assert ids[:size] == form.prompt(example.prompt), shape
        assert ids[-1] in form.ends
        assert form.pad not in ids
        assert not set(form.ends) & set(ids[size:-1])
        assert max(ids) < form.vocab_size
        found = form.parse(form.decode(ids[size:]))
        assert (found.steps, found.answer) == (example.steps, example.final_answer), (shape, reasoning)


@SOME
@given(TEXTS, st.lists(TEXTS, max_size=2), st.lists(st.integers(0, 700), max_size=12))
def test_what_is_shown_of_a_begun_text_stays(prompt, steps, noise):
    example = TraceExample("", "prompt", tuple(steps), prompt)
    for (shape, reasoning), form in FORMS.items():
        ids, size = form.trace(example, "trace")
        for written in (ids[size:], noise):
            whole = form.decode(written)
            begun = [form.decode_begun(written[:end]) for end in range(len(written) + 1)]
            assert all(whole.startswith(one) for one in begun), (shape, reasoning, begun)


@SOME
@given(TEXTS)
def test_any_text_can_be_parsed(text):
    for form in FORMS.values():
        found = form.parse(text)
        assert (found.answer is None) == bool(found.problem)


@SOME
@given(TEXTS, TEXTS)
def test_special_tokens_come_from_the_template_alone(prompt, answer):
    for shape, form in FORMS.items():
        control = set(form.encoder.controls.values())
        usual = form.trace(TraceExample("", "prompt", ("step",), "answer"), "trace")[0]
        ids = form.trace(TraceExample("", f"p {prompt}.", ("step",), f"a {answer}."), "trace")[0]
        assert [one for one in ids if one in control] == [one for one in usual if one in control], shape


def test_without_a_template_the_text_is_that_of_training_from_scratch():
    example = TraceExample("", "2+2?", ("two\nlines", "# b"), "4")
    form = FORMS["base-bytes", "plain"]
    for target in ("trace", "answer"):
        mine, size = form.trace(example, target)
        bytes_ids, bytes_size = BYTES.trace(example, target)
        assert form.decode(mine[:size]) == BYTES.decode(bytes_ids[:bytes_size])
        assert form.decode(mine[size:]) == BYTES.decode(bytes_ids[bytes_size:])


def test_the_pieces_of_a_text_are_its_characters_each_with_the_last_of_its_tokens():
    for shape in ("base-bytes", "base-pieces", "gemma"):
        form = next(form for (name, _), form in FORMS.items() if name == shape)
        ids = form.encoder.encode("é🦜 a\n b")
        pieces = form.encoder.pieces(ids)
        assert "".join(piece for piece in pieces if piece != "\ufffd").strip() == "é🦜 a\n b"
        assert pieces.count("\ufffd") >= 3


@given(st.sets(st.text("ab|<>.", min_size=1, max_size=4), min_size=1), st.text("ab|<>.", max_size=20))
def test_many_texts_are_found_as_by_a_list_that_begins_with_the_longest(texts, text):
    listed = "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))
    assert re.findall(longest_of(texts), text) == re.findall(listed, text)
