"""What stands in a text that is still being written, and in one that is whole."""

import pytest

from datasets_app.generators import FAMILIES
from datasets_app.selectors import members
from datasets_app.services import seed_dataset
from runs.playground.measure import family_of, held_out, measure_for
from runs.playground.reading import differing, read_text
from runs.tests.support import make_dataset, make_run

CHAIN = FAMILIES["chain"].prompt_for(seed=1, index=0, attempt=0)
SOLVED = FAMILIES["chain"].solve(CHAIN)
STEPS = [step.content for step in SOLVED.steps]


def read(text, *, finished=False, ended=False, expected=SOLVED.final_answer):
    return read_text(text, prompt=CHAIN, family="chain", expected=expected, finished=finished, ended=ended)


def test_a_line_is_a_step_when_its_end_is_written():
    first = STEPS[0]
    for length in range(len(first) + 1):
        reading = read(first[:length])
        assert (reading.steps, reading.begun, reading.answer) == ((), first[:length], None)
    reading = read(f"{first}\n{STEPS[1][:2]}")
    assert (reading.steps, reading.valid, reading.begun) == ((first,), (True,), STEPS[1][:2])


def test_steps_are_checked_one_by_one():
    reading = read(f"{STEPS[0]}\nnonsense\n")
    assert reading.valid == (True, False)
    assert (reading.sound, reading.checked) == (1, 2)
    unknown = read_text("a\nb\n", prompt="hello", finished=False, ended=False)
    assert unknown.valid == (None, None)


def test_the_answer_counts_when_the_model_has_ended_the_text():
    text = "".join(f"{step}\n" for step in STEPS) + f"#{SOLVED.final_answer}"
    begun = read(text)
    assert (begun.answer, begun.verdict, begun.begun) == (None, None, f"#{SOLVED.final_answer}")
    whole = read(text, finished=True, ended=True)
    assert whole.verdict is not None
    assert (whole.answer, whole.verdict.correct, whole.words) == (SOLVED.final_answer, True, "right answer")
    assert all(whole.valid)
    cut = read(text, ended=True)
    assert cut.verdict is not None
    assert (cut.answer, cut.problem, cut.verdict.correct) == (None, "unfinished", False)


def test_without_an_expected_answer_there_is_no_verdict():
    whole = read("#5", finished=True, ended=True, expected=None)
    assert (whole.answer, whole.verdict, whole.words) == ("5", None, "answered")


@pytest.mark.parametrize(
    ("text", "problem"), [("#5\nmore", "text after the answer"), ("a\nb", "no answer"), ("", "no answer")]
)
def test_a_text_without_one_answer_says_why(text, problem):
    whole = read(text, finished=True, ended=True)
    assert whole.verdict is not None
    assert (whole.answer, whole.problem, whole.verdict.correct) == (None, problem, False)


def test_what_goes_on_behind_its_answer_is_known_before_its_end():
    assert read("#5\nmor").problem == "text after the answer"
    assert read("#5\nmor").verdict is None


@pytest.mark.parametrize("text", ["\n", "\n\n\n", "\\", "\\n\n#", "\N{REPLACEMENT CHARACTER}\n", "# " * 500])
def test_any_text_can_be_read_at_any_point(text):
    for length in range(len(text) + 1):
        for finished in (False, True):
            reading = read(text[:length], finished=finished, ended=finished)
            assert len(reading.steps) == len(reading.valid)


def test_steps_at_the_same_place_differ_or_not():
    assert differing(("a", "b"), ("a", "b")) == 0
    assert differing(("a", "b"), ("a", "c", "d")) == 2
    assert differing((), ("a",)) == 1


@pytest.mark.django_db
def test_the_task_itself_tells_what_would_be_right():
    run = make_run()
    known = measure_for(run, prompt=CHAIN)
    assert (known.family, known.answer, list(known.steps)) == ("chain", SOLVED.final_answer, STEPS)
    own = measure_for(run, prompt=CHAIN, answer="77")
    assert (own.family, own.answer, own.steps) == ("chain", "77", ())
    assert measure_for(run, prompt="hello").answer is None


@pytest.mark.django_db
def test_only_families_of_the_dataset_are_asked():
    scratchpad = seed_dataset(key="addition-scratchpad-v1", count=20).dataset
    prompt = members(dataset=scratchpad)[0].trace.prompt
    assert family_of(prompt, scratchpad) == "addition_scratchpad"
    # Another family asks the very same and wants other steps.
    assert family_of(prompt) != "addition_scratchpad"
    assert family_of(CHAIN, scratchpad) == ""


@pytest.mark.django_db
def test_a_held_out_trace_counts_as_long_as_its_prompt_is_unchanged():
    dataset = make_dataset(60)
    run = make_run(dataset=dataset)
    trace = held_out(run)[0]
    assert trace.split == "test"
    known = measure_for(run, prompt=trace.prompt, trace_hash=trace.content_hash)
    assert (known.answer, known.steps, known.family) == (trace.final_answer, trace.steps, trace.family)
    other = measure_for(run, prompt="something else", trace_hash=trace.content_hash)
    assert (other.answer, other.trace_hash) == (None, "")
    differs = measure_for(run, prompt=trace.prompt, trace_hash=trace.content_hash, answer="77")
    assert (differs.answer, differs.steps, differs.trace_hash) == ("77", (), trace.content_hash)


def test_steps_of_no_family_are_judged_by_what_they_calculate_where_that_is_asked():
    text = "7+3=10\n10*2=21\nso be it\n"
    plain = read_text(text, prompt="(7+3)*2", finished=False, ended=False, arithmetic=True)
    assert plain.valid == (True, False, None)
    assert read_text(text, prompt="(7+3)*2", finished=False, ended=False).valid == (None, None, None)


def test_the_datasets_grader_compares():
    def correct(grader):
        read = read_text("#it is 18.", prompt="x", expected="18", finished=True, ended=True, grader=grader)
        assert read.verdict is not None
        return read.verdict.correct

    assert correct("gsm8k_flexible")
    assert not correct("")
    # One that needs what is not installed leaves the usual one.
    assert not correct("no such grader")
