"""The file of an evaluation's texts: what is kept is given back, what is damaged costs itself alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.decoding import GeneratedText
from training.evaluation.written import WrittenTexts, key_of, seal, unseal

KEY = key_of({"prompts": ["1+2"]})


def texts(*words):
    return [GeneratedText(word, len(word) + 1, stopped_at_eos=bool(word)) for word in words]


@pytest.fixture
def path(tmp_path):
    """A file of three batches of two texts."""
    kept = WrittenTexts.read(tmp_path / "run" / "generated.jsonl", key=KEY)
    for start in (0, 2, 4):
        kept.keep(start, texts(f"a{start}\n#1", f"ü\x00\r\x85 {start}"), 0.5)
    return kept.path


def test_what_is_kept_is_given_back(path):
    found = WrittenTexts.read(path, key=KEY)
    assert {start: batch.texts for start, batch in found.batches.items()} == {
        start: texts(f"a{start}\n#1", f"ü\x00\r\x85 {start}") for start in (0, 2, 4)
    }
    assert (found.damaged, [batch.seconds for batch in found.batches.values()]) == (0, [0.5] * 3)


def test_a_missing_file_holds_nothing(tmp_path):
    found = WrittenTexts.read(tmp_path / "none", key=KEY)
    assert (found.batches, found.damaged) == ({}, 0)


def test_every_flipped_byte_of_a_line_costs_that_batch_alone(path):
    whole = path.read_bytes()
    first, second = whole.index(b"\n") + 1, whole.index(b"\n", whole.index(b"\n") + 1)
    for place in range(first, second, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        told: list[str] = []
        found = WrittenTexts.read(path, key=KEY, told=told.append)
        assert sorted(found.batches) == [0, 4], place
        assert "generated again" in told[0]


def test_a_torn_line_costs_its_batch_and_the_next_one_is_kept(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    found = WrittenTexts.read(path, key=KEY)
    assert sorted(found.batches) == [0, 2]
    found.keep(4, texts("again", "again"), 0.1)
    found.keep(6, texts("more", "more"), 0.1)
    assert sorted(WrittenTexts.read(path, key=KEY).batches) == [0, 2, 4, 6]
    # Nothing that stood there was changed.
    assert path.read_bytes().startswith(whole[:-20])


def test_texts_of_another_evaluation_are_passed_over(path):
    other = WrittenTexts.read(path, key=key_of({"prompts": ["2+2"]}))
    assert (other.batches, other.damaged) == ({}, 0)
    other.keep(0, texts("x", "y"), 0.1)
    assert sorted(WrittenTexts.read(path, key=KEY).batches) == [0, 2, 4]


def test_a_disk_that_takes_no_more_is_told_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    told: list[str] = []
    kept = WrittenTexts.read(tmp_path / "file" / "generated.jsonl", key=KEY, told=told.append)
    told.clear()
    kept.keep(0, texts("a"), 0.1)
    kept.keep(1, texts("b"), 0.1)
    assert sorted(kept.batches) == [0, 1]
    assert len(told) == 1
    assert "takes no more" in told[0]


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 99), st.booleans())),
    st.integers(0, 10**6),
)
def test_a_line_gives_back_any_texts(rows, start):
    written = [GeneratedText(*row) for row in rows]
    line = seal(KEY, start, written, 0.25)
    assert line.count(b"\n") == 1
    found = unseal(line[:-1])
    assert found is not None
    assert (found[0], found[1], found[2].texts) == (KEY, start, written)


@pytest.mark.parametrize("line", [b"", b"{}", b'{"key":1}', b"x" * 100, b'{"a":1,"sum":"0123456789abcdef"}'])
def test_what_is_no_line_is_none(line):
    assert unseal(line) is None
