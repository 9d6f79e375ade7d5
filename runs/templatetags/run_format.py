"""Numbers and times as pages show them."""

import datetime as dt

from django import template
from django.utils import timezone

from runs.models import Run
from tunix_site.models import AuditEvent

register = template.Library()
KIB = 1024


@register.filter
def percent(value: float | None) -> str:
    """Show a share as a percentage with one decimal."""
    return "–" if value is None else f"{100 * value:.1f} %"


@register.filter
def quantity(value: float | str | None) -> str:
    """Show a number with four significant digits, large ones with thousands separators.

    None is a number that was not finite; text stands where an older record has no number.
    """
    if value is None:
        return "not finite"
    if isinstance(value, str):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.3e}"


@register.filter
def si(value: float | None, unit: str = "") -> str:
    """Show a quantity with three significant digits, a decimal prefix from kilo to peta, and its unit."""
    if value is None:
        return "–"
    amount, prefixes = float(value), ["", "k", "M", "G", "T", "P"]
    while abs(amount) >= 999.5 and len(prefixes) > 1:
        amount, prefixes = amount / 1000, prefixes[1:]
    return f"{amount:.3g} {prefixes[0]}{unit}".rstrip()


@register.filter
def size(value: int | None) -> str:
    """Show bytes in binary units."""
    if value is None:
        return "–"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < KIB or unit == "TiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= KIB
    return ""


@register.filter
def duration(run: Run) -> str:
    """Show how long a run has taken, or took, since its newest start."""
    if run.started_at is None:
        return "–"
    return span((run.finished_at or timezone.now()) - run.started_at)


def span(time: dt.timedelta) -> str:
    """Show a time span in its two largest units."""
    seconds = max(0, round(time.total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


@register.filter
def seconds_ago(seconds: float) -> str:
    """Show how long ago something was."""
    return "just now" if seconds < 1 else f"{span(dt.timedelta(seconds=seconds))} ago"


@register.filter
def event_name(event: AuditEvent) -> str:
    """Show what an audit line is about, without the kind of thing that it is about."""
    kind, _, what = event.action.rpartition(".")
    words = what.replace("_", " ")
    return words if kind in {"", "run"} else f"{kind} {words}"


@register.filter
def event_detail(event: AuditEvent) -> str:
    """Show the reason of an audit line first, then its other facts."""
    facts = dict(event.detail)
    reason = str(facts.pop("reason", "") or "")
    rest = [
        f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value not in ("", None, [])
    ]
    return "; ".join([part for part in (reason, ", ".join(rest)) if part])
