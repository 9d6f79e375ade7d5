import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.examples import TraceExample
from training.rendering import ParsedText, completion_text, parse_completion, render
from training.tokenizer import TOKENIZER

# Few characters, among them all that mean something, so that clashes are tried often.
awkward = st.text(alphabet="#\\n\n\r a1", max_size=8) | st.text(max_size=20)


@given(st.lists(awkward, max_size=5), awkward)
def test_every_trace_comes_back_from_its_text(steps, answer):
    assert parse_completion(render(steps, answer)) == ParsedText(tuple(steps), answer)


@given(st.lists(awkward, max_size=4), awkward, st.lists(awkward, max_size=4), awkward)
def test_two_traces_never_share_a_text(steps, answer, other_steps, other_answer):
    same_text = render(steps, answer) == render(other_steps, other_answer)
    assert same_text == ((steps, answer) == (other_steps, other_answer))


@given(st.text(alphabet="#\\n\n a1", max_size=30))
def test_any_generated_text_can_be_read(text):
    parsed = parse_completion(text)
    assert (parsed.answer is None) == bool(parsed.problem)


def test_a_trace_is_its_steps_a_line_each_and_then_the_answer():
    example = TraceExample("0" * 64, "7+3*2", ("7+3=0", "0*2=0"), "0")
    assert completion_text(example, "trace") == "7+3=0\n0*2=0\n#0"
    assert completion_text(example, "answer") == "#0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ParsedText((), None, "no answer")),
        ("1+1=2\n", ParsedText(("1+1=2",), None, "no answer")),
        ("1+1=2\n3", ParsedText(("1+1=2", "3"), None, "no answer")),
        ("a\n#2\n#3", ParsedText(("a",), None, "text after the answer")),
        ("\\#a\n#2", ParsedText(("#a",), "2")),
    ],
)
def test_what_a_half_trained_model_writes_is_read_strictly(text, expected):
    assert parse_completion(text) == expected


@given(st.text(max_size=40))
def test_text_survives_the_tokenizer(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_no_text_can_produce_padding_or_the_end():
    assert TOKENIZER.pad != TOKENIZER.eos
    assert min(TOKENIZER.pad, TOKENIZER.eos) > 255
    assert TOKENIZER.decode([72, TOKENIZER.pad, 105, TOKENIZER.eos]) == "Hi"
