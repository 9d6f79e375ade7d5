"""How a grader is chosen."""

import pytest

from training.errors import ConfigError
from training.grading import graders
from training.grading.graders import DEFAULT, GRADERS, Grader, find_grader, grader_for


def test_every_grader_says_what_it_accepts():
    for name, grader in GRADERS.items():
        assert (grader.name, grader.version) == (name, 1)
        assert 0 < len(grader.summary) < 100
        assert "\n" not in grader.summary


def test_an_unknown_grader_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="no grader 'best'; there are auto, exact, normalised"):
        find_grader("best")


def test_a_grader_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(graders, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="pip install 'math-verify"):
        find_grader("math")


@pytest.mark.parametrize(
    ("family", "dataset", "choice", "chosen"),
    [
        ("", "", "", DEFAULT),
        ("story", "", "", "normalised"),
        ("other", "", "", DEFAULT),
        ("story", "numeric", "", "numeric"),
        ("story", "numeric", "exact", "exact"),
    ],
)
def test_a_choice_wins_over_the_dataset_and_that_over_the_family(family, dataset, choice, chosen):
    assert grader_for(family, dataset, choice, hints={"story": "normalised"}) is GRADERS[chosen]


def test_a_grader_of_ones_own_can_be_handed_in():
    always = Grader(
        "always", 1, "anything", lambda written, expected: GRADERS["exact"].judge(written, written.text)
    )
    assert always.compare("1", "2").correct
