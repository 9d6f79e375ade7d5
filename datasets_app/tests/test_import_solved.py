"""Files of bare problems, whose steps a generator family writes."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from datasets_app.models import Dataset
from datasets_app.selectors import member_traces, resolve_dataset
from tunix_site.errors import UserError

pytestmark = pytest.mark.django_db(transaction=True)

FORMS = [
    ("addition_plain", []),
    ("addition_reversed", ["reversed: 067"]),
    ("addition_scratchpad", ["A 0, C 1", "A 6, C 1", "A 7, C 0"]),
]


def import_lines(tmp_path, text, *more: str) -> dict[str, Any]:
    path = tmp_path / "sums.txt"
    path.write_text(text)
    out = StringIO()
    call_command(
        "import_traces", str(path), "--json", "--dataset", "sums", *more, stdout=out, stderr=StringIO()
    )
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


@pytest.mark.parametrize(("family", "steps"), FORMS)
def test_a_family_writes_the_steps_of_problems_in_a_file(tmp_path, family, steps):
    import_lines(tmp_path, "265+495=760\n0+7=7\n", "--solve", family)
    dataset = resolve_dataset(address="sums")
    first, second = member_traces(dataset=dataset)
    assert (first.prompt, list(first.steps), first.final_answer) == (
        "265+495",
        steps,
        "760",
    )
    assert (second.prompt, second.final_answer) == ("0+7", "7")
    assert {first.family, second.family} == {family}
    assert dataset.recipe["solve"] == family


def test_what_a_line_says_besides_is_kept(tmp_path):
    line = {"prompt": "1+1", "steps": [], "final_answer": "2", "meta": {"page": 7}, "source": "a book"}
    import_lines(tmp_path, json.dumps(line), "--format", "trace", "--solve", "addition_scratchpad")
    [member] = member_traces(dataset=resolve_dataset(address="sums"))
    assert (member.meta, member.source, list(member.steps)) == ({"page": 7}, "a book", ["A 2, C 0"])


def test_a_wrong_answer_or_another_kind_of_problem_is_refused_by_line(tmp_path):
    text = "1+1=2\n2+2=5\n3*3=9\n"
    with pytest.raises(CommandError, match=r"comes to '4'") as refused:
        import_lines(tmp_path, text, "--format", "equation", "--solve", "addition_plain")
    assert "no problem of the family addition_plain" in str(refused.value)
    assert not Dataset.objects.exists()
    said = import_lines(tmp_path, text, "--format", "equation", "--solve", "addition_plain", "--keep-going")
    assert (said["imported"], said["refused"]) == (1, 2)


def test_an_unknown_family_is_refused_with_those_there_are(tmp_path):
    with pytest.raises((UserError, CommandError), match=r"no family 'sudoku'.*addition_scratchpad"):
        import_lines(tmp_path, "1+1=2\n", "--solve", "sudoku")
