"""A run as another tool recorded it, on its way to becoming a run of ours."""

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runs.states import Status
from tunix_site.errors import InvalidInputError

# How far the config of a source is taken over, so that no page has to show megabytes of it.
MAX_CONFIG = 2_000
_MAX_VALUE = 2_000
_UNTOLD: Final = "its source does not say how it ended"


@dataclass(slots=True)
class ForeignRun:
    """What a source says of a run; its points lie in the spool under ``number``.

    ``identity`` is made of the source's content and stays the same as the source grows. Moments are
    Unix seconds.
    """

    format: str
    number: int
    identity: str
    name: str
    source: str
    config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    host: str = ""
    status: Status = Status.COMPLETED
    reason: str = _UNTOLD
    started_at: float | None = None
    finished_at: float | None = None
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: the name asked for, what to leave out, and whether damage ends it.

    ``step_column`` names the column of steps of a table that calls it otherwise than usual.
    """

    name: str = ""
    keep_going: bool = False
    ignore: frozenset[str] = frozenset()
    step_column: str = ""


def named(reading: Reading, own: str, *, alone: bool) -> str:
    """Give a run's name: the one asked for, followed by its own where there are several."""
    if not reading.name:
        return own
    return reading.name if alone else f"{reading.name}/{own}"


def storable_config(pairs: Iterable[tuple[str, Any]], notices: list[str]) -> dict[str, Any]:
    """Take over hyper-parameters, shortened where they are too long, which is said in ``notices``."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if len(found) >= MAX_CONFIG:
            notices.append(f"of its config the first {MAX_CONFIG} entries were taken")
            break
        kept = value
        if isinstance(value, float) and not math.isfinite(value):
            kept = str(value)
        elif not isinstance(value, bool | int | float | None):
            kept = value if isinstance(value, str) else str(value)
            if len(kept) > _MAX_VALUE:
                notices.append(f"the config's {name[:60]} was cut off at {_MAX_VALUE} characters")
                kept = kept[:_MAX_VALUE]
            kept = kept.replace("\x00", "\ufffd")
        found[name[:200].replace("\x00", "\ufffd")] = kept
    return found


def moment(seconds: float, where: str) -> dt.datetime:
    """Read Unix seconds.

    Raises:
        InvalidInputError: for what is no time, saying where it stands.
    """
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInputError(f"{where}: {seconds} is no time in Unix seconds.") from error


def regular_file(path: Path) -> bool:
    """Tell whether a path is a file itself, neither a link nor a pipe that could be anything."""
    return path.is_file() and not path.is_symlink()
