"""Searching and reading a whole log: what a brute force over its lines would find, whatever its shape."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.pages import log_lines
from runs.pages.log_lines import lines_of, text_of
from runs.pages.log_search import MOST_HITS, read_around, read_end, search_log
from runs.states import Status
from runs.tests.support import run_in
from tunix_site.errors import InvalidInputError


def write(folder: Path, data: bytes, *, rotated_at: int | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if rotated_at is not None:
        (folder / "log-0.txt").write_bytes(data[:rotated_at])
        data = data[rotated_at:]
    (folder / "log.txt").write_bytes(data)
    return folder


words = st.sampled_from(
    [b"a", b"B", b"needle", b"NEEDLE", b"\x1b[31mnee\x1b[0mdle", b"\xff", "ü".encode(), b" "]
)
texts = st.lists(words | st.just(b"\n"), max_size=60).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(data=texts, piece=st.integers(1, 40), cut=st.integers(0, 60), context=st.integers(0, 3))
def test_search_finds_what_brute_force_finds(tmp_path_factory, data, piece, cut, context):
    folder = write(tmp_path_factory.mktemp("log"), data, rotated_at=min(cut, len(data)))
    log_lines.PIECE_BYTES = piece  # type: ignore[misc]
    try:
        found = search_log(folder, query="needle", context=context)
        every = list(lines_of(folder, wants=lambda _: True, edge=0))
    finally:
        log_lines.PIECE_BYTES = 1 << 20  # type: ignore[misc]
    lines = data.split(b"\n")
    lines = lines[:-1] if data.endswith(b"\n") or not data else lines
    assert [one.data for one in every] == lines
    assert [one.number for one in every] == list(range(1, len(lines) + 1))
    for one in every:
        assert data[one.offset :].startswith(one.data)
    hits = {number for number, line in enumerate(lines, 1) if "needle" in text_of(line).lower()}
    shown = {
        number for number in range(1, len(lines) + 1) if any(abs(number - hit) <= context for hit in hits)
    }
    assert {line.number for group in found.groups for line in group if line.hit} == hits
    assert sorted(line.number for group in found.groups for line in group) == sorted(shown)
    for group in found.groups:
        assert [line.number for line in group] == list(range(group[0].number, group[0].number + len(group)))


@pytest.mark.parametrize("query", ["ü", "Größe", "needle"])
def test_what_hardly_any_line_holds_is_looked_for_without_taking_each_apart(tmp_path, query):
    folder = write(tmp_path, b"\n" * 3_000_000 + "a\nDIE GRÖSSE Größe, NEEDLE ü\n".encode())
    began = time.perf_counter()
    found = search_log(folder, query=query)
    assert time.perf_counter() - began < 6
    assert [[line.number for line in group if line.hit] for group in found.groups] == [[3_000_002]]


def test_many_hits_come_in_parts_that_follow_one_another(tmp_path):
    folder = write(tmp_path, b"".join(b"hit %d\nnothing\n" % number for number in range(250)))
    seen: list[str] = []
    after: int | None = 0
    answers = 0
    while after is not None:
        found = search_log(folder, query="HIT", context=0, after=after)
        assert found.hits <= MOST_HITS
        seen += [line.text for group in found.groups for line in group]
        after = found.after
        answers += 1
    assert seen == [f"hit {number}" for number in range(250)]
    assert answers == 3


def test_colours_progress_bars_and_control_characters_are_no_part_of_a_line():
    assert text_of(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x00") == "red text"
    assert text_of(b"10 %\r50 %\r100 %\r\n") == "100 %"
    assert text_of("über \xff".encode("latin-1")) == "�ber �"


def test_a_line_of_many_megabytes_is_one_line_and_shows_what_stands_around_the_hit(tmp_path):
    folder = write(
        tmp_path, b"first\n" + b"x" * 700_000 + b"needle" + b"y" * 3_000_000 + b"\n\nlast needle\n"
    )
    found = search_log(folder, query="needle", context=0)
    lines = [line for group in found.groups for line in group]
    assert [line.number for line in lines] == [2, 4]
    assert len(lines[0].text) < 700
    assert "needle" in lines[0].text
    assert [line.number for line in read_around(folder, line=4).lines] == [1, 2, 3, 4]


def test_markup_and_patterns_in_a_query_are_text(tmp_path):
    folder = write(tmp_path, b"a.*b\nacb\n<b>\n")
    assert search_log(folder, query="a.*b").hits == 1
    assert search_log(folder, query="<B>").hits == 1
    for query in ("", "   ", "x" * 201, "a\nb"):
        with pytest.raises(InvalidInputError, match="Search for one line"):
            search_log(folder, query=query)


def test_a_place_is_found_by_line_and_by_any_of_its_bytes(tmp_path):
    data = b"".join(b"line %d\n" % number for number in range(1, 100_001))
    folder = write(tmp_path, data, rotated_at=500_000)
    by_line = read_around(folder, line=60_000)
    offset = next(line.offset for line in by_line.lines if line.number == 60_000)
    assert data[offset:].startswith(b"line 60000\n")
    for byte in (offset, offset + 5, offset + 10):
        assert read_around(folder, byte=byte).target == 60_000
    assert (by_line.has_before, by_line.has_after, len(by_line.lines)) == (True, True, 300)
    assert by_line.lines[60].number == 60_000
    first, end = read_around(folder, line=1), read_end(folder)
    assert (first.has_before, first.lines[0].number) == (False, 1)
    assert (end.target, end.has_after, len(end.lines)) == (100_000, False, 300)
    assert read_around(folder, line=100_001).target == 0
    assert read_around(folder, byte=10**12).target == 0
    assert read_end(tmp_path / "nowhere").lines == []


def test_eighty_megabytes_are_searched_in_a_second_or_two(tmp_path):
    block = b"".join(b"step %d loss 1.0 grad_norm 0.5 tokens/s 40000\n" % number for number in range(20_000))
    folder = write(tmp_path, block * (80 * 2**20 // len(block)) + b"the only needle\n")
    began = time.perf_counter()
    found = search_log(folder, query="Needle")
    seconds = time.perf_counter() - began
    assert found.hits == 1
    assert seconds < 4, seconds


@pytest.mark.django_db
def test_the_api_searches_the_log(client, token_headers):
    run = run_in(Status.FAILED)
    write(run.attempt_directory(1), "ok\nÜBEL <b>\nok\n".encode())
    url, headers = f"/api/training/runs/{run.pk}/logs/search", token_headers("read")
    said = client.get(url, {"q": "übel", "context": 1}, headers=headers).json()
    assert (said["hits"], said["attempt"], said["after"]) == (1, 1, None)
    assert [(line["line"], line["offset"], line["hit"]) for line in said["groups"][0]] == [
        (1, 0, False), (2, 3, True), (3, 13, False),
    ]  # fmt: skip
    assert client.get(url, headers=headers).status_code == 422
    assert client.get(url, {"q": "a\nb"}, headers=headers).status_code == 422
    assert client.get(url, {"q": "x", "attempt": 7}, headers=headers).json()["hits"] == 0
    assert client.get("/api/training/runs/4711/logs/search?q=x", headers=headers).status_code == 404
