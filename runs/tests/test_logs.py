"""The log of an attempt: read by absolute byte, rotated under the process that writes it, nothing lost."""

import subprocess
import sys

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from runs.logs import LogPiece, log_tail, read_log_in, rotate_log
from runs.states import Status
from runs.tests.support import fresh, run_in

# Writes numbered lines by os.write, print and C while it rotates them, then waits for its input to end.
WRITER = """
import ctypes, os, pathlib, sys, threading, time
import django
django.setup()
from runs.logs import rotate_log
folder, count, keep = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
over, turned = threading.Event(), 0
def turn():
    global turned
    while not over.is_set():
        turned += rotate_log(folder, limit_bytes=4000, keep=keep)
thread = threading.Thread(target=turn)
thread.start()
libc = ctypes.CDLL(None)
for number in range(0, count, 3):
    # However busy the machine is: rotated this often at least.
    while turned < number // 3000:
        time.sleep(0.001)
    os.write(1, b"line %d\\n" % number)
    print("line", number + 1, flush=True)
    libc.write(1, b"line %d\\n" % (number + 2), len(b"line %d\\n" % (number + 2)))
over.set()
thread.join()
os.write(1, b"turned %d\\n" % turned)
"""
LINES = 30_000


def start_writer(folder, *, keep, lines=LINES):
    with (folder / "log.txt").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(lines), str(keep)],
            cwd=settings.BASE_DIR,
            env={"DJANGO_SETTINGS_MODULE": "tunix_site.settings", "PATH": "/usr/bin:/bin"},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )


def finished(process):
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint


def parts(folder):
    older = sorted(folder.glob("log-*.txt"), key=lambda path: int(path.stem.removeprefix("log-")))
    return [*older, folder / "log.txt"]


def read_all(folder, *, offset=0, max_bytes=1 << 16, grows=False):
    text = ""
    while (
        piece := read_log_in(folder, offset=offset, max_bytes=max_bytes, grows=grows)
    ).next_offset > offset:
        text, offset = text + piece.text, piece.next_offset
    return text, offset


def test_no_byte_is_lost_by_rotation_under_a_writer_and_a_follower_sees_each_once(tmp_path):
    writer = start_writer(tmp_path, keep=100_000)
    followed, cursor = "", 0
    while writer.poll() is None:
        more, cursor = read_all(tmp_path, offset=cursor, grows=True)
        followed += more
    finished(writer)
    followed += read_all(tmp_path, offset=cursor)[0]
    written = b"".join(path.read_bytes() for path in parts(tmp_path)).decode()
    *lines, last = written.splitlines()
    assert lines == [f"line {number}" for number in range(LINES)]
    assert int(last.removeprefix("turned ")) == len(parts(tmp_path)) - 1 > 3
    assert followed == written


def test_only_the_newest_older_parts_are_kept_and_positions_go_on(tmp_path):
    finished(start_writer(tmp_path, keep=2))
    assert len(parts(tmp_path)) == 3
    piece = read_log_in(tmp_path, offset=0, max_bytes=10, grows=False)
    first = int(parts(tmp_path)[0].stem.removeprefix("log-"))
    assert piece.offset == piece.first_offset == piece.skipped == first > 0
    text, end = read_all(tmp_path)
    assert text.splitlines()[-2] == f"line {LINES - 1}"
    assert end == piece.size == first + sum(path.stat().st_size for path in parts(tmp_path))
    finished(start_writer(tmp_path, keep=2, lines=3000))
    again = read_all(tmp_path, offset=end)[0]
    assert again.splitlines()[-2] == "line 2999"
    assert read_log_in(tmp_path, offset=None, max_bytes=10, grows=False).size > end


def test_a_process_whose_output_goes_elsewhere_rotates_nothing(tmp_path):
    (tmp_path / "log.txt").write_bytes(bytes(100))
    assert not rotate_log(tmp_path, limit_bytes=10, keep=1)
    assert not rotate_log(tmp_path / "nowhere", limit_bytes=10, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
    with pytest.raises(ValueError, match="at least one"):
        rotate_log(tmp_path, limit_bytes=10, keep=0)


@pytest.fixture
def in_parts(tmp_path):
    """A log of 30 bytes whose first 10 were deleted: 10 to 19, 20 to 24, and 25 to 29 in log.txt."""
    (tmp_path / "log-10.txt").write_bytes(b"klmnopqrst")
    (tmp_path / "log-20.txt").write_bytes(b"uvwxy")
    (tmp_path / "log.txt").write_bytes(b"z0123")
    return tmp_path


@pytest.mark.parametrize(
    ("offset", "max_bytes", "expected"),
    [
        (None, 8, LogPiece("wxyz0123", 22, 30, 30, 10)),
        (None, 100, LogPiece("klmnopqrstuvwxyz0123", 10, 30, 30, 10)),
        (12, 3, LogPiece("mno", 12, 15, 30, 10)),
        (18, 10, LogPiece("stuvwxyz01", 18, 28, 30, 10)),
        (0, 5, LogPiece("klmno", 10, 15, 30, 10, skipped=10)),
        (30, 5, LogPiece("", 30, 30, 30, 10)),
        (99, 5, LogPiece("", 30, 30, 30, 10)),
    ],
)
def test_positions_are_those_of_the_whole_log(in_parts, offset, max_bytes, expected):
    assert read_log_in(in_parts, offset=offset, max_bytes=max_bytes, grows=False) == expected


def test_a_part_that_is_gone_from_the_middle_is_passed_over(in_parts):
    (in_parts / "log-15.txt").write_bytes(b"pq")
    (in_parts / "log-10.txt").write_bytes(b"kl")
    piece = read_log_in(in_parts, offset=12, max_bytes=9, grows=False)
    assert (piece.text, piece.offset, piece.skipped) == ("pq", 15, 3)
    assert read_all(in_parts, offset=10)[0] == "klpquvwxyz0123"


def test_a_log_that_is_between_two_names_is_read_up_to_there(in_parts):
    (in_parts / "log.txt").unlink()
    assert read_all(in_parts, offset=10)[1] == 25


def test_a_character_that_is_not_complete_waits_only_while_the_log_grows(tmp_path):
    whole = "ä€😀".encode()
    for cut in range(len(whole) + 1):
        (tmp_path / "log.txt").write_bytes(whole[:cut])
        text, end = read_all(tmp_path, grows=True)
        assert text.encode() == whole[:end]
        assert "\N{REPLACEMENT CHARACTER}" not in text
        assert read_all(tmp_path, grows=False)[1] == cut


@given(text=st.text(max_size=40), max_bytes=st.integers(1, 9))
def test_pieces_of_any_size_make_up_the_text(tmp_path_factory, text, max_bytes):
    folder = tmp_path_factory.mktemp("log")
    (folder / "log.txt").write_bytes(text.encode())
    for grows in (True, False):
        assert read_all(folder, max_bytes=max_bytes, grows=grows) == (text, len(text.encode()))
    last = read_log_in(folder, offset=None, max_bytes=max_bytes, grows=False)
    assert "\N{REPLACEMENT CHARACTER}" in text or "\N{REPLACEMENT CHARACTER}" not in last.text


@given(data=st.binary(max_size=40), max_bytes=st.integers(1, 9), grows=st.booleans())
def test_whatever_bytes_there_are_reading_comes_to_the_end(tmp_path_factory, data, max_bytes, grows):
    folder = tmp_path_factory.mktemp("log")
    (folder / "log.txt").write_bytes(data)
    _, end = read_all(folder, max_bytes=max_bytes, grows=grows)
    assert len(data) - (3 if grows else 0) <= end <= len(data)


def test_the_tail_looks_behind_a_rotation(in_parts):
    (in_parts / "log-20.txt").write_bytes(b"uv\nxy")
    (in_parts / "log.txt").write_bytes(b"")
    assert log_tail(in_parts, lines=1) == "xy"
    assert log_tail(in_parts / "nowhere", lines=5) == ""


@pytest.mark.django_db
def test_the_api_gives_a_cursor_and_says_what_was_deleted(client, token_headers):
    run = fresh(run_in(Status.RUNNING))
    folder = run.attempt_directory(1)
    (folder / "log-100.txt").write_bytes(b"\x1b[31mred\x1b[0m\n")
    (folder / "log.txt").write_bytes("grün ".encode() + "ü".encode()[:1])
    headers = token_headers("read")

    def ask(**query):
        answer = client.get(f"/api/training/runs/{run.pk}/logs", query, headers=headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    said = ask(after=0)
    assert said["text"] == "\x1b[31mred\x1b[0m\ngrün "
    assert (said["offset"], said["first_offset"], said["skipped"]) == (100, 100, 100)
    assert said["cursor"] == said["next_offset"] == said["size"] - 1
    assert ask(after=said["cursor"], offset=0)["text"] == ""
    with (folder / "log.txt").open("ab") as file:
        file.write("ü".encode()[1:])
    assert ask(after=said["cursor"])["text"] == "ü"
