"""Implicit chain of thought: lines ``question||reasoning #### answer``."""

from datasets_app.formats.reading import LINE, Fields, Reading, reading
from datasets_app.formats.reading import text_of as text
from datasets_app.selectors import MemberTrace
from datasets_app.traces import TraceError

NAME = "icot"
SUMMARY = "plain lines question||reasoning #### answer"
FIELDS = (LINE,)
LOSSLESS = False


def matches(fields: Fields) -> bool:
    """Tell it by both marks."""
    line = fields.get(LINE)
    return isinstance(line, str) and "||" in line and "####" in line


def read(fields: Fields) -> Reading:
    """Read it; the reasoning is one step, or one a ``<<…>>`` where it is made of these."""
    question, bar, rest = text(fields, LINE).partition("||")
    if not bar:
        raise TraceError(LINE, "has no || between question and reasoning.")
    reasoning, mark, answer = rest.rpartition("####")
    if not mark:
        raise TraceError(LINE, "has no #### before the answer.")
    if not question.strip():
        raise TraceError(LINE, "has an empty question.")
    if not answer.strip():
        raise TraceError(LINE, "has an empty answer.")
    whole = reasoning.strip()
    made_of_annotations = whole.startswith("<<") and whole.endswith(">>")
    steps = whole.replace(">> <<", ">>\n<<").split("\n") if made_of_annotations else [whole]
    return reading(question.strip(), [step for step in steps if step], answer.strip())


def write(member: MemberTrace) -> str:
    """Write the line; white space is made single."""
    steps = " ".join(" ".join(member.steps).split())
    prompt = " ".join(member.prompt.split())
    return f"{prompt}||{steps} #### {member.final_answer}"
