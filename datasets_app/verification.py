"""Does everything that is kept of a dataset agree: rows, content hash, traces.jsonl, manifest?"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from datasets_app import manifest
from datasets_app.formats import line_of, trace
from datasets_app.models import Dataset
from datasets_app.publishing import newest_of_key
from datasets_app.selectors import list_datasets, member_traces, resolve_dataset
from datasets_app.traces import ContentHasher, Step, trace_hash
from tunix_site.errors import NotFoundError, UserError

NAMED = 5
type Entry = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not agree. ``code`` is for programs, ``message`` for people."""

    dataset: str
    code: str
    message: str
    repaired: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give the finding as plain data."""
        return asdict(self)


class _FileLine(msgspec.Struct):
    prompt: str
    steps: list[Step]
    final_answer: str
    split: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the database holds: (split, hash) in order, and what the files should be."""

    entries: list[Entry]
    findings: list[Finding]
    expected_file: dict[str, Any]


def check_datasets(*, address: str | None = None, repair: bool = False) -> tuple[int, list[Finding]]:
    """Check one dataset (``KEY@HASHPREFIX``), all contents of a key, or everything.

    With ``repair``, files are written anew from rows whose own hash is right.

    Returns:
        how many datasets were checked, and what does not agree.

    Raises:
        NotFoundError: if the address names neither a dataset nor a folder.
    """
    datasets = _addressed(address)
    findings: list[Finding] = []
    for dataset in datasets:
        findings += check_dataset(dataset=dataset, repair=repair)
    for key in _folders_without_rows(address):
        findings.append(
            Finding(
                key,
                "files-without-rows",
                f"{manifest.folder_of(key)} has files, but the database has no dataset {key}. "
                "They cannot be repaired from here: seed or import it again, or delete the folder.",
            )
        )
    if address and not datasets and not findings:
        raise NotFoundError(f"There is no dataset {address!r} to check.")
    return len(datasets), findings


def check_dataset(*, dataset: Dataset, repair: bool = False) -> list[Finding]:
    """Check the rows of a dataset and, where the bare key addresses it, its files."""
    rows = _check_rows(dataset)
    newest = newest_of_key(dataset.key)
    if newest is None or newest.pk != dataset.pk:
        return rows.findings
    in_files = _check_files(dataset, rows)
    if not repair or not in_files:
        return rows.findings + in_files
    if rows.findings:
        refused = " Not repaired: the rows themselves do not have their content hash."
        return rows.findings + [replace(found, message=found.message + refused) for found in in_files]
    return _repair(dataset, rows, in_files)


def check_rows(*, dataset: Dataset) -> list[Finding]:
    """Check that the rows of a dataset are those that its content hash names; its files are left alone."""
    return _check_rows(dataset).findings


def _repair(dataset: Dataset, rows: _Rows, in_files: list[Finding]) -> list[Finding]:
    try:
        manifest.write_files(key=dataset.key)
    except UserError as error:
        return [replace(found, message=f"{found.message} {error}") for found in in_files]
    left = {found.code for found in _check_files(dataset, rows)}
    return [replace(found, repaired=found.code not in left) for found in in_files]


def _addressed(address: str | None) -> list[Dataset]:
    if address is None:
        return list(list_datasets().select_related("parent"))
    if "@" in address:
        return [resolve_dataset(address=address)]
    return list(list_datasets().filter(key=address).select_related("parent"))


def _folders_without_rows(address: str | None) -> Iterator[str]:
    top = manifest.datasets_dir()
    if not top.is_dir():
        return
    known = set(list_datasets().order_by().values_list("key", flat=True).distinct())
    for folder in sorted(top.iterdir()):
        wanted = address is None or folder.name == address
        filled = any((folder / name).exists() for name in (manifest.MANIFEST, manifest.TRACES))
        if wanted and filled and folder.name not in known:
            yield folder.name


def _check_rows(dataset: Dataset) -> _Rows:
    """Read all rows once: hash each trace anew, and the list of them, and what the file should be."""
    entries: list[Entry] = []
    changed: list[str] = []
    hasher, digest, size = ContentHasher(), hashlib.sha256(), 0
    in_place = True
    for place, member in enumerate(member_traces(dataset=dataset)):
        in_place = in_place and member.position == place
        if trace_hash(member.prompt, member.step_records, member.final_answer) != member.content_hash:
            changed.append(f"{member.position} (trace {member.content_hash[:12]})")
        hasher.add(split=member.split, content_hash=member.content_hash)
        entries.append((member.split, member.content_hash))
        line = line_of(trace.write(member))
        digest.update(line)
        size += len(line)
    findings = []
    if changed:
        findings.append(
            Finding(
                dataset.address,
                "trace-changed",
                f"{len(changed)} stored traces no longer have their hash, at position {_some(changed)}. "
                "This cannot be repaired: restore the database, or seed or import anew into another.",
            )
        )
    if len(entries) != dataset.trace_count:
        message = (
            f"There are {len(entries)} rows where {dataset.trace_count} belong. This cannot be repaired."
        )
        findings.append(Finding(dataset.address, "rows-missing", message))
    elif hasher.hexdigest() != dataset.content_hash or not in_place:
        findings.append(_explain_order(dataset, entries))
    elif sum(split == "test" for split, _ in entries) != dataset.test_count:
        message = "The stored numbers of train and test traces are not those of the rows."
        findings.append(Finding(dataset.address, "counts-changed", message))
    return _Rows(entries, findings, {"sha256": digest.hexdigest(), "bytes": size, "lines": len(entries)})


def _explain_order(dataset: Dataset, entries: list[Entry]) -> Finding:
    """Say where rows and content hash part, with the file as a witness where it is sound."""
    where = ""
    try:
        witness = list(_read_entries(dataset.key))
    except (OSError, _BadLineError):
        witness = []
    if _hash_of(witness) == dataset.content_hash:
        places = [
            str(place) for place, (row, line) in enumerate(zip(entries, witness, strict=False)) if row != line
        ]
        where = f" By traces.jsonl, whose content hash is right, position {_some(places)} differ."
    return Finding(
        dataset.address,
        "order-changed",
        f"Order, splits or members of the rows are not those of the content hash.{where} "
        "This cannot be repaired from here: seed or import the dataset into a new database.",
    )


def _check_files(dataset: Dataset, rows: _Rows) -> list[Finding]:
    found = [_check_traces_file(dataset, rows), _check_manifest(dataset, rows)]
    return [finding for finding in found if finding is not None]


def _check_traces_file(dataset: Dataset, rows: _Rows) -> Finding | None:
    path = manifest.folder_of(dataset.key) / manifest.TRACES
    if not path.is_file():
        return Finding(dataset.address, "traces-file-missing", f"{path} is missing.")
    try:
        if _digest(dataset.key) == rows.expected_file["sha256"]:
            return None
        entries = list(_read_entries(dataset.key))
    except OSError as error:
        return Finding(dataset.address, "traces-file-unreadable", f"{path}: {error.strerror}.")
    except _BadLineError as error:
        return Finding(
            dataset.address, "traces-file-changed", f"{path}, line {error.number}: {error.problem}."
        )
    if entries != rows.entries and Counter(entries) == Counter(rows.entries):
        return Finding(dataset.address, "traces-file-reordered", f"{path}: the traces are in another order.")
    if len(entries) != len(rows.entries):
        message = f"{path} has {len(entries)} traces, the database {len(rows.entries)}."
        return Finding(dataset.address, "traces-file-changed", message)
    pairs = enumerate(zip(entries, rows.entries, strict=True), start=1)
    lines = [str(number) for number, (line, row) in pairs if line != row]
    what = f"line {_some(lines)} changed" if lines else "something beside traces and splits changed"
    return Finding(dataset.address, "traces-file-changed", f"{path}: {what}.")


def _check_manifest(dataset: Dataset, rows: _Rows) -> Finding | None:
    path = manifest.folder_of(dataset.key) / manifest.MANIFEST
    expected = manifest.describe(dataset) | {"files": {manifest.TRACES: rows.expected_file}}
    try:
        content = manifest.read_manifest(dataset.key)
    except FileNotFoundError:
        return Finding(dataset.address, "manifest-missing", f"{path} is missing.")
    except (OSError, ValueError) as error:
        return Finding(dataset.address, "manifest-unreadable", f"{path} cannot be read: {error}.")
    differ = [name for name in expected | content if expected.get(name) != content.get(name)]
    if not differ:
        return None
    message = f"{path} does not say what the database says: {', '.join(sorted(differ))}."
    return Finding(dataset.address, "manifest-changed", message)


class _BadLineError(Exception):
    def __init__(self, number: int, problem: str) -> None:
        self.number = number
        self.problem = problem
        super().__init__(problem)


def _read_entries(key: str) -> Iterator[Entry]:
    decoder = msgspec.json.Decoder(_FileLine)
    with (manifest.folder_of(key) / manifest.TRACES).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                read = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise _BadLineError(number, str(error)) from error
            yield read.split, trace_hash(read.prompt, read.steps, read.final_answer)


def _digest(key: str) -> str:
    with (manifest.folder_of(key) / manifest.TRACES).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_of(entries: list[Entry]) -> str:
    hasher = ContentHasher()
    for split, content_hash in entries:
        hasher.add(split=split, content_hash=content_hash)
    return hasher.hexdigest()


def _some(places: list[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more
