"""Which code runs: the commit, and what was changed since, readable and without secrets."""

import functools
import hashlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

MAX_DIFF_BYTES: Final = 256 << 10
MASK: Final = "‹masked›"
_GIT_TIMEOUT_S: Final = 20
_HERE: Final = Path(__file__).resolve().parent
_NO_CORE: Final = frozenset({"tests", "bench", "traces.py"})

_SECRETS: Final = (
    # An assignment to a name that says what it is; the name stays.
    re.compile(
        r"""(?im)^(.*?\b[\w.-]*(?:secret|token|passw(?:or)?d|api[_-]?key|private[_-]?key|credential)[\w.-]*["']?\s*"""
        r"""(?:=>|:=|[:=])\s*)(?![=:])\S.*$"""
    ),
    re.compile(r"(?i)(\bbearer\s+)[\w.~+/-]+=*"),
    re.compile(r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?basic\s+)[\w+/=]+"),
    re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"),
    re.compile(r"()\b(?:hf_|gh[oprsu]_|github_pat_|npm_|AIza|glpat-|sk-|xox[abp]-|AKIA)[\w-]{12,}"),
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
)


def git_facts(root: Path) -> dict[str, Any]:
    """Name the commit, and give the uncommitted difference itself; None for what git does not tell.

    ``git_diff`` has at most `MAX_DIFF_BYTES` and no secrets; ``git_diff_hash`` is over the whole
    of it, with the names of the files that git does not know (``git_untracked``), and what the Python
    files among them hold, for those could run.
    """
    commit = _git(root, "rev-parse", "HEAD")
    whole = _git(root, "diff", "HEAD", "--binary")
    names = _git(root, "ls-files", "--others", "--exclude-standard")
    dirty = None if commit is None else bool(whole or names)
    untracked = (names or "").splitlines()
    text = f"{whole or ''}\0{names or ''}\0{_contents(root, untracked)}"
    return {
        "git_commit": commit.strip() if commit else None,
        "git_dirty": dirty,
        "git_diff_hash": hashlib.sha256(text.encode()).hexdigest() if dirty else None,
        "git_diff": shortened(masked(_git(root, "diff", "HEAD") or "")) if dirty else "",
        "git_untracked": untracked[:200] if dirty else [],
    }


@functools.cache
def training_code(root: Path = _HERE) -> str:
    """Hash the code that turns data into parameters: the modules of this package but tests and benchmarks.

    Two that hash the same give the same bits where data, packages and device do; other code of the
    project may change without changing a number.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if not _NO_CORE.intersection(name.parts):
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def masked(text: str) -> str:
    """Replace what looks like a secret: assigned values, tokens, passwords in addresses, private keys."""
    text = _PRIVATE_KEY.sub(f"{MASK} private key", text)
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match.group(1)}{MASK}", text)
    return text


def shortened(text: str) -> str:
    """Cut a text to `MAX_DIFF_BYTES`, and say how much is missing."""
    raw = text.encode()
    if len(raw) <= MAX_DIFF_BYTES:
        return text
    kept = raw[:MAX_DIFF_BYTES].decode("utf-8", "ignore")
    return f"{kept}\n… cut here: {len(raw) - MAX_DIFF_BYTES:,} more bytes\n"


def _contents(root: Path, names: Sequence[str]) -> str:
    digest = hashlib.sha256()
    found = False
    for name in names:
        if name.endswith(".py"):
            try:
                digest.update(hashlib.sha256((root / name).read_bytes()).digest())
            except OSError:
                continue
            found = True
    return digest.hexdigest() if found else ""


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, timeout=_GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")
