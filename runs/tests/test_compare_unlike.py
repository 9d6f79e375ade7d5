"""Runs side by side whose evaluations measure different things: said beside the pair, and not tested."""

import csv
import io

import pytest

from runs.models import Evaluation
from runs.tests.samples_support import graded, training
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

GREEDY = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0, "samples": 1, "max_new_tokens": 24}
RECORDED = {"grader": "auto", "grader_version": 1, "decoding": GREEDY}


@pytest.fixture
def two():
    runs = [training([graded("a"), graded("b", answer)]) for answer in ("0", "1")]
    Evaluation.objects.update(**RECORDED)
    return runs


@pytest.fixture
def seen(client, viewer, two):
    client.force_login(viewer)
    ids = {"ids": ",".join(str(run.pk) for run in two)}

    def read(**changes):
        Evaluation.objects.filter(run=two[1]).update(**changes)
        whole = page_text(client.get("/runs/compare/", ids))
        text = whole.partition('id="pairs"')[2].partition("</section>")[0]
        answer = client.get("/runs/compare/export.csv", ids).content.decode()
        rows = [row for row in csv.reader(io.StringIO(answer)) if row[0] == "same prompts"]
        return text, rows[0]

    return read


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grader": "numeric"}, "grader: auto 1 against numeric 1"),
        ({"grader_version": 2}, "grader: auto 1 against auto 2"),
        ({"grader": "", "grader_version": 0}, "against graded before graders were recorded"),
        ({"split": "train"}, "split: test against train"),
        ({"dataset": None}, "against none"),
        ({"decoding": {**GREEDY, "temperature": 0.5}}, "decoding: likeliest token against temperature 0.5"),
        ({"draws": 4}, "decoding: likeliest token against likeliest token, 4 texts a prompt"),
    ],
)
def test_what_differs_is_named_and_nothing_tested(seen, changes, said):
    text, row = seen(**changes)
    assert "Not tested" in text
    assert said in text
    assert "p = " not in text
    assert row[2] == "not compared"
    assert said in row[4]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"decoding": {**GREEDY, "seed": 3}},
        {"decoding": {**GREEDY, "max_new_tokens": 96}},
        {"decoding": {}},
    ],
)
def test_what_decides_no_text_keeps_nothing_from_being_tested(seen, changes):
    text, row = seen(**changes)
    assert "p = 1.0000, 1 differ" in text
    assert "Not tested" not in text
    assert row[2] == "n = 2, p = 1.0000"
    assert ("drawn in different ways" in text) == bool(changes)
