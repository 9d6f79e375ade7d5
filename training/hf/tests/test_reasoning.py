"""Steps and answer between tags and back, and what half-trained models write."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.hf.reasoning import CLOSE, Frame, read, say, thinking

FRAME = Frame("<think>\n", "\n</think>\n\n", "")
OPENED = Frame("", "\n</think>\n\n", "")


@pytest.mark.parametrize(
    ("text", "steps", "answer", "problem"),
    [
        ("<think>\na\nb\n</think>\n\n4", ("a", "b"), "4", ""),
        ("<think>\n\n</think>\n\n4", (), "4", ""),
        ("  <think>a</think>4  ", ("a",), "4", ""),
        ("The answer is 4.", (), "The answer is 4.", ""),
        ("<think>\na\nb", ("a", "b"), None, "no end of the thinking"),
        ("<think>\na\n</think>\n\n", ("a",), None, "no answer"),
        ("a\n</think>\n4\n5", ("a",), "4\n5", ""),
        ("<think>\na\n</think>\n4</think>5", ("a",), "4</think>5", ""),
        ("", (), None, "no answer"),
    ],
)
def test_thinking_is_read_as_far_as_it_goes(text, steps, answer, problem):
    found = read("think", text, FRAME)
    assert (found.steps, found.answer, found.problem) == (steps, answer, problem)


def test_where_the_prompt_begins_the_thinking_a_text_without_its_end_has_no_answer():
    assert read("think", "a\nb", OPENED).problem == "no end of the thinking"
    assert read("think", "a\nb</think>4", OPENED).answer == "4"


def test_an_empty_think_block_of_the_template_is_no_step():
    frame = Frame("<think>\n\n</think>\n\n", "", " ")
    for text in ("<think>\n\n</think>\n\na\n#4 ", "<think>\n\n</think>\na\n#4", "a\n#4"):
        assert read("plain", text, frame).steps == ("a",)
        assert read("plain", text, frame).answer == "4"


def test_formulas_stay_as_models_know_them():
    said = say("think", [r"\frac{1}{2}", r"\neq", "a\nb", f"x {CLOSE}"], "1", guard=str, closing=CLOSE)
    assert said.message["content"] == ("<think>\n\\frac{1}{2}\n\\\\neq\na\\nb\nx <\\?/think>\n</think>\n\n1")


@given(st.lists(st.text(alphabet="ab\\n?\n\r\t </think>\u2028")))
@example(["a", ""])
@example([""])
@example(["", " ", "\n", "\\"])
def test_any_steps_come_back(steps):
    said = say("think", steps, "1", guard=str, closing=CLOSE)
    assert read("think", said.message["content"], FRAME).steps == tuple(steps)
    assert thinking("a", "b") == "<think>\na\n</think>\n\nb"
