"""Which grader a dataset asks for."""

import pytest

from datasets_app.generators import FAMILIES, GENERATORS, checkers
from datasets_app.graders import BY_FORMAT, default_grader
from datasets_app.models import Dataset
from training.examples import TraceExample
from training.grading import GRADERS, grade, grader_for
from training.rendering import render


def with_recipe(**recipe: object) -> Dataset:
    return Dataset(key="x", recipe=recipe)


@pytest.mark.parametrize(
    ("key", "grader"),
    [("chain-v1", ""), ("word-problems-v1", "normalised"), ("golden-v2", ""), ("golden-v1", "")],
)
def test_a_generated_dataset_goes_by_its_families_where_they_agree(key, grader):
    recipe = GENERATORS[key].recipe(count=1, seed=0)
    assert default_grader(Dataset(key=key, recipe=recipe)) == grader


@pytest.mark.parametrize(
    ("recipe", "grader"),
    [
        ({"kind": "import", "format": "gsm8k"}, "gsm8k_flexible"),
        ({"kind": "import", "format": "messages"}, ""),
        ({"kind": "import"}, ""),
        ({"kind": "stored", "filters": {}}, ""),
        ({"kind": "generated", "families": {"gone": {}}}, ""),
        ({}, ""),
    ],
)
def test_an_imported_dataset_goes_by_its_format(recipe, grader):
    assert default_grader(with_recipe(**recipe)) == grader


def test_whatever_a_dataset_or_a_family_asks_for_is_there():
    wanted = {family.grader for family in FAMILIES.values()} | set(BY_FORMAT.values())
    assert {name for name in wanted if name} <= set(GRADERS)


def test_a_unit_belongs_to_the_answer_of_a_word_problem():
    grader = grader_for(dataset_default=FAMILIES["word_problems"].grader)
    assert grader.compare("3250 g", "3250 g").correct
    assert not grader.compare("3250", "3250 g").correct


def test_a_persons_choice_wins():
    chosen = grader_for(
        dataset_default=default_grader(with_recipe(kind="import", format="gsm8k")), choice="exact"
    )
    assert chosen.name == "exact"


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_trace_of_a_family_is_right_valid_and_in_form(family):
    known = FAMILIES[family]
    for index in range(40):
        prompt = next(
            filter(None, (known.prompt_for(seed=1, index=index, attempt=attempt) for attempt in range(50)))
        )
        trace = known.solve(prompt)
        steps = tuple(step.content for step in trace.steps)
        example = TraceExample("0" * 64, prompt, steps, trace.final_answer, family)
        sample = grade(
            example,
            render(steps, trace.final_answer),
            finished=True,
            checkers=checkers(),
            grader=grader_for(family, hints={family: known.grader}),
        )
        assert sample.correct
        assert set(sample.steps_valid) <= {True}
        assert sample.checks["format"] is True
        assert False not in sample.checks.values()
