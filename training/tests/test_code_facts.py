"""The code that runs is named with its uncommitted changes, and without secrets."""

import subprocess

import pytest

from training.code_facts import MASK, MAX_DIFF_BYTES, git_facts, masked, training_code


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "code.py").write_text("rate = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_a_clean_tree_has_a_commit_and_no_difference(repository):
    facts = git_facts(repository)
    assert len(facts["git_commit"]) == 40
    assert (facts["git_dirty"], facts["git_diff"], facts["git_diff_hash"]) == (False, "", None)


def test_the_difference_itself_is_kept_and_what_git_does_not_know_is_named(repository):
    (repository / "code.py").write_text("rate = 2\n")
    (repository / "new.py").write_text("")
    facts = git_facts(repository)
    assert "-rate = 1\n+rate = 2" in facts["git_diff"]
    assert facts["git_untracked"] == ["new.py"]
    before = facts["git_diff_hash"]
    (repository / "code.py").write_text("rate = 3\n")
    assert git_facts(repository)["git_diff_hash"] != before


def test_what_an_untracked_module_holds_is_part_of_the_difference(repository):
    (repository / "new.py").write_text("rate = 1\n")
    before = git_facts(repository)["git_diff_hash"]
    (repository / "new.py").write_text("rate = 2\n")
    assert git_facts(repository)["git_diff_hash"] != before


def test_a_huge_difference_is_cut_and_says_so(repository):
    (repository / "code.py").write_text("x = 1\n" * MAX_DIFF_BYTES)
    text = git_facts(repository)["git_diff"]
    assert len(text.encode()) < MAX_DIFF_BYTES + 100
    assert text.rstrip().endswith("more bytes")


def test_binary_files_are_in_the_hash_and_not_in_the_text(repository):
    (repository / "code.py").write_bytes(bytes(range(256)) * 10)
    facts = git_facts(repository)
    assert facts["git_dirty"]
    assert "Binary files" in facts["git_diff"]


def test_without_git_nothing_is_known_and_nothing_raised(tmp_path, monkeypatch):
    assert git_facts(tmp_path)["git_commit"] is None
    monkeypatch.setenv("PATH", "")
    assert git_facts(tmp_path)["git_dirty"] is None


SECRET = "s3cr3t-Value_123456789"


@pytest.mark.parametrize(
    "line",
    [
        f'+SECRET_KEY = "{SECRET}"',
        f"+export HF_TOKEN={SECRET}",
        f'+    "db_password": "{SECRET}",',
        f"+api-key: {SECRET}",
        f"+Authorization: Bearer {SECRET}",
        f"+postgresql://me:{SECRET}@db/x",
        f"+hf_{SECRET.replace('-', '')}",
        f"+-----BEGIN RSA PRIVATE KEY-----\n+{SECRET}\n+-----END RSA PRIVATE KEY-----",
        f"+-----BEGIN PRIVATE KEY-----\n+{SECRET}",
        f'+login("ghs_{SECRET.replace("-", "")}")',
        f'+genai.configure("AIza{SECRET.replace("-", "")}")',
        f"+header = 'eyJhbGciOiJIUzI1.{SECRET}.{SECRET}'",
        f"+Authorization: Basic {SECRET.replace('-', '').replace('_', '')}",
        f"+AWS_PRIVATE_KEY => {SECRET} trailing {SECRET}",
    ],
)
def test_secrets_are_masked(line):
    plain = masked(line).replace("-", "").replace("_", "")
    assert SECRET.replace("-", "").replace("_", "") not in plain
    assert MASK in masked(line)


@pytest.mark.parametrize(
    "line",
    ["+rate = 1", "+tokens_per_second", "+if token == other:", "+see https://example.org/a:b", "+a: int"],
)
def test_what_is_no_secret_stays(line):
    assert masked(line) == line


def test_only_code_that_makes_parameters_counts_as_training_code(tmp_path):
    for name in ("loop.py", "tests/test_loop.py", "bench/measure.py", "traces.py", "notes.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("one")
    training_code.cache_clear()
    before = training_code(tmp_path)
    for name in ("tests/test_loop.py", "bench/measure.py", "traces.py", "notes.md"):
        (tmp_path / name).write_text("two")
    training_code.cache_clear()
    assert training_code(tmp_path) == before
    (tmp_path / "loop.py").write_text("two")
    training_code.cache_clear()
    assert training_code(tmp_path) != before
