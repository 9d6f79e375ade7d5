"""Texts as decontamination compares them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.overlap.words import GRAM_WORDS, grams_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, the CAT; and the dog!", "the cat the cat and the dog"),
        ("well-known *stars* (a_b)", "wellknown stars ab"),
        ("3+4*7-5", "3+4*7-5"),
        ("12 - 5 = 7", "12 - 5 = 7"),
        ("a = b - c", "a b c"),
        ("- first\n- second", "first second"),
        ("1,234.5 apples", "12345 apples"),
        ("ﬁve Ⅻ Straße", "five xii strasse"),
        ("„Größe“ – 5 %", "grösse 5 %"),
        ("", ""),
        ("...", ""),
    ],
)
def test_words_are_lower_case_and_without_punctuation_but_for_operators_beside_digits(text, words):
    assert words_of(text) == words.split()


def test_an_operator_keeps_two_sums_apart():
    assert words_of("3+4") != words_of("3*4")


@given(st.text())
def test_no_text_is_too_odd_to_have_words(text):
    for word in words_of(text):
        assert word
        assert not any(mark.isspace() for mark in word)


def test_runs_of_thirteen_words_are_told_apart_and_shorter_texts_have_none():
    words = [str(number) for number in range(GRAM_WORDS + 2)]
    assert len(set(grams_of(words))) == 3
    assert list(grams_of(words[: GRAM_WORDS - 1])) == []
    assert set(grams_of(words[:GRAM_WORDS])) < set(grams_of(words))
    assert set(grams_of(words[::-1])).isdisjoint(grams_of(words))
