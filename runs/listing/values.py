"""What people write for numbers, sizes, shares, times and moments in a search."""

import datetime as dt
import math
import re
from typing import Final

from django.utils import timezone

_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)")
_SPANS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(min|[smhdw])", re.IGNORECASE)
_SCALES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_BYTES: Final = {
    "": 1, "b": 1,
    "k": 2**10, "kib": 2**10, "kb": 10**3,
    "m": 2**20, "mib": 2**20, "mb": 10**6,
    "g": 2**30, "gib": 2**30, "gb": 10**9,
    "t": 2**40, "tib": 2**40, "tb": 10**12,
}  # fmt: skip
_MOMENT = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T_](\d{1,2}):(\d{2})(?::(\d{2}))?)?)?)?(Z?)")
LARGEST: Final = 2.0**62


def number(text: str) -> float | None:
    """Read a number: ``1e-3``, ``1_000``, ``1.5m`` (k, m, g or b, t); None where it is none."""
    return _scaled(text, _SCALES)


def size(text: str) -> float | None:
    """Read bytes: ``512``, ``1g`` (of 1024), ``1GiB``, ``1GB`` (of 1000)."""
    return _scaled(text, _BYTES)


def share(text: str) -> float | None:
    """Read a share of 1: ``0.9`` or ``90%``."""
    if text.endswith("%"):
        percent = _scaled(text[:-1], {"": 1.0})
        return None if percent is None else percent / 100
    return _scaled(text, {"": 1.0})


def _scaled(text: str, scales: "dict[str, float] | dict[str, int]") -> float | None:
    found = _NUMBER.fullmatch(text)
    scale = scales.get(found[2].lower()) if found else None
    if found is None or scale is None:
        return None
    value = float(found[1].replace("_", "")) * scale
    return value if math.isfinite(value) and abs(value) <= LARGEST else None


def seconds(text: str) -> float | None:
    """Read a time span in seconds: ``90``, ``90s``, ``5m``, ``1h30m``, ``2d``, ``1w``."""
    plain = _scaled(text, {"": 1.0})
    if plain is not None:
        return plain if plain >= 0 else None
    total, place = 0.0, 0
    for part in _SPAN.finditer(text):
        if part.start() != place:
            return None
        total, place = total + float(part[1]) * _SPANS[part[2].lower()], part.end()
    return total if place == len(text) and place and total < LARGEST / 1e6 else None


def moments(text: str, *, now: dt.datetime) -> tuple[dt.datetime, dt.datetime] | None:
    """Read a span of time as its beginning and its end: a year, a month, a day, a minute, or a moment.

    ``2026``, ``2026-01``, ``2026-01-15``, ``2026-01-15T09:30``, ``today``, ``yesterday``; ``7d`` is the
    moment so long ago.
    """
    word = text.lower()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    day = dt.timedelta(days=1)
    if word == "now":
        return now, now
    if word == "today":
        return midnight, midnight + day
    if word == "yesterday":
        return midnight - day, midnight
    if word[-1:] in _SPANS or word.endswith("min"):
        span = seconds(word)
        if span is None or span > 1e10:
            return None
        moment = now - dt.timedelta(seconds=span)
        return moment, moment
    found = _MOMENT.fullmatch(text)
    return _of_calendar(found) if found else None


def _of_calendar(found: re.Match[str]) -> tuple[dt.datetime, dt.datetime] | None:
    year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups()[:6])
    zone = dt.UTC if found[7] else timezone.get_current_timezone()
    try:
        start = dt.datetime(year or 1, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=zone)
        if month is None:
            end = start.replace(year=start.year + 1)
        elif day is None:
            end = (start.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
        elif hour is None:
            end = start + dt.timedelta(days=1)
        else:
            end = start + (dt.timedelta(minutes=1) if second is None else dt.timedelta(seconds=1))
    except (ValueError, OverflowError):
        return None
    return (start, end) if 1970 <= start.year < 9000 else None


THOUSAND: Final = 1e3
MILLION: Final = 1e6
BILLION: Final = 1e9
