"""Import a journal that no supervisor fed: one found later, or one from another machine.

Its files are copied into this site's artifacts, its run and attempt are found or made, and it is fed as
any other. All of it may be done again: what is here stays as it is.
"""

import datetime as dt
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runs.imported_runs import create_imported_run, end_imported, find_attempt, note_checkpoints_elsewhere
from runs.ingest import FencedOutError, ingest_rest, journal_path
from runs.journal import JOURNAL_NAME, LOG_NAME, read_events
from runs.journal_header import JournalHeader, journal_header, read_header
from runs.journal_lines import in_words
from runs.models import Attempt, MetricPoint, Run
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, UserError

__all__ = ["Imported", "import_journal", "journal_header"]

_CHUNK = 1 << 20
_ATTEMPT_FOLDER = re.compile(r"attempt-(\d{1,9})")


@dataclass(slots=True)
class Contents:
    """What a journal holds: whole events, points, what is wrong with it, and when its last event was."""

    header: JournalHeader | None = None
    events: int = 0
    points: int = 0
    damaged: list[str] = field(default_factory=list)
    first_at: float = 0.0
    last_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    ``events`` and ``points`` are what the journal holds, ``stored`` the points that were not here before;
    ``damaged`` names lines that could not be read or are missing, ``torn_bytes`` is what stands behind the
    last whole line; ``created``: the run was not known here; ``changed``: anything is new.
    """

    run_id: int
    attempt: int
    events: int
    points: int
    stored: int
    damaged: list[str]
    torn_bytes: int
    status: str
    created: bool
    changed: bool

    def as_json(self) -> dict[str, Any]:
        """Give what ``import_journal --json`` prints."""
        facts = asdict(self)
        del facts["changed"]
        return facts


def import_journal(path: Path, *, run: Run | None = None, attempt: int | None = None) -> Imported:
    """Import a journal file, or the one in an attempt's folder.

    ``run`` and ``attempt`` say what it is of where its first line does not.

    Raises:
        NotFoundError: when there is no journal.
        InvalidInputError: when neither its first line nor the arguments say what it is of, or they differ.
        ConflictError: when the run is alive here, or has another journal for this attempt.
    """
    file = path / JOURNAL_NAME if path.is_dir() else path
    if not file.is_file():
        raise NotFoundError(f"There is no journal at {file}.", hint=f"Name a {JOURNAL_NAME} or its folder.")
    contents = _look_through(file)
    if not contents.events:
        raise InvalidInputError(f"{file} holds no whole line of a journal.")
    header = contents.header
    number = _number(file, header, attempt)
    known = _known_run(header, run)
    if known is not None and known.is_alive:
        raise ConflictError(
            f"Run {known.pk} is {known.status} here, and its supervisor feeds its journal.",
            hint="Import this one when the run has ended.",
        )
    began = _moment(contents.first_at)
    found = known
    if found is None:
        if header is None:
            raise InvalidInputError(
                f"{file} does not say which run it is of.", hint="Name the run with --run RUN."
            )
        found = create_imported_run(header, started_at=began)
    row = find_attempt(found, number=number, header=header, started_at=began)
    return _feed(row, file, contents, created=known is None)


def _feed(attempt: Attempt, file: Path, contents: Contents, *, created: bool) -> Imported:
    run, offset, reason = attempt.run, attempt.journal_offset, attempt.reason
    _copy_files(file, journal_path(attempt))
    points = MetricPoint.objects.filter(run=run, attempt=attempt.number)
    before = points.count()
    try:
        torn = ingest_rest(attempt, overtaken=attempt.number < run.attempt)
    except FencedOutError as error:
        raise ConflictError(f"Run {run.pk} was started while its journal was imported.") from error
    note_checkpoints_elsewhere(attempt, host=contents.header.host if contents.header else attempt.host)
    ended = end_imported(attempt, at=_moment(contents.last_at))
    run.refresh_from_db()
    return Imported(
        run_id=run.pk,
        attempt=attempt.number,
        events=contents.events,
        points=contents.points,
        stored=points.count() - before,
        damaged=contents.damaged,
        torn_bytes=torn,
        status=run.status,
        created=created,
        changed=created or ended or (attempt.journal_offset, attempt.reason) != (offset, reason),
    )


def _look_through(file: Path) -> Contents:
    contents = Contents()
    for event, _ in read_events(file, 0, limit_bytes=file.stat().st_size + 1):
        if words := in_words(event):
            contents.damaged.append(words)
        if event["k"] in {"damaged", "missing"}:
            continue
        if event["k"] == "run" and contents.header is None:
            contents.header = read_header(event)
        contents.events += 1
        if event["k"] == "metrics" and isinstance(event.get("v"), dict):
            contents.points += len(event["v"])
        if isinstance(event["t"], int | float):
            contents.first_at = contents.first_at or event["t"]
            contents.last_at = event["t"]
    return contents


def _number(file: Path, header: JournalHeader | None, given: int | None) -> int:
    if header is not None:
        if given not in {None, header.attempt}:
            raise InvalidInputError(f"{file} is of attempt {header.attempt}, not of attempt {given}.")
        return header.attempt
    folder = _ATTEMPT_FOLDER.fullmatch(file.resolve().parent.name)
    if given is None and folder is None:
        raise InvalidInputError(
            f"{file} does not say which attempt it is of.", hint="Name it with --attempt N."
        )
    return given if given is not None else int(folder[1] if folder else 0)


def _known_run(header: JournalHeader | None, given: Run | None) -> Run | None:
    if header is None:
        return given
    if given is not None and given.uid != header.uid:
        raise InvalidInputError(
            f"The journal is of the run with the uid {header.uid}, not of run {given.pk}."
        )
    return Run.objects.filter(uid=header.uid).first()


def _moment(seconds: float) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInputError(f"The journal names {seconds} as a time, which is none.") from error


def _copy_files(source: Path, target: Path) -> None:
    """Bring a journal and the log beside it to where this site keeps them."""
    if target.exists() and target.samefile(source):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or _goes_on(source, target):
            _copy(source, target)
        for log in (source.parent / LOG_NAME, *source.parent.glob("log-*.txt")):
            if log.is_file() and not (target.parent / log.name).exists():
                _copy(log, target.parent / log.name)
    except OSError as error:
        raise UserError(
            f"{source} could not be copied to {target.parent}: {error.strerror}.",
            hint="Nothing is lost; import it again when that is mended.",
        ) from error


def _goes_on(source: Path, target: Path) -> bool:
    """Tell whether the source holds all that the target does and more; they must not differ before."""
    place = 0
    with source.open("rb") as theirs, target.open("rb") as ours:
        while True:
            more, have = theirs.read(_CHUNK), ours.read(_CHUNK)
            both = min(len(more), len(have))
            if more[:both] != have[:both]:
                first = next(at for at in range(both) if more[at] != have[at])
                raise ConflictError(
                    f"{target} is another journal: it differs from {source} at byte {place + first}.",
                    hint="Remove the one that is wrong, or name another attempt.",
                )
            if len(more) != len(have) or not more:
                return len(more) > len(have)
            place += both


def _copy(source: Path, target: Path) -> None:
    fresh = target.with_name(f".{target.name}.fresh")
    with source.open("rb") as theirs, fresh.open("wb") as ours:
        shutil.copyfileobj(theirs, ours, _CHUNK)
        ours.flush()
        os.fsync(ours.fileno())
    fresh.replace(target)
