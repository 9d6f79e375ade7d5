"""What stands in the cells of the list of runs, as markup: fifty rows of included templates are slow."""

from typing import Any
from urllib.parse import quote

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from runs.listing.organising import tags_of
from runs.listing.values import BILLION, MILLION, THOUSAND
from runs.models import Run
from runs.states import Kind
from runs.templatetags.run_format import duration, percent, quantity, size
from runs.waiting import in_words, seconds_left

NOTHING = mark_safe('<span class="muted nothing">–</span>')
LONGEST_NAME = 80
LONGEST_VALUE = 60


def shortened(text: str, longest: int) -> str:
    """Cut a text to a length, with a mark where something is missing."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def run_cell(run: Run) -> SafeString:
    """Number and name as a link; below them the kind of what is no training."""
    name: str = SafeString("")
    if run.name:
        hidden = format_html(' title="{}"', run.name) if len(run.name) > LONGEST_NAME else ""
        name = format_html(" · <bdi{}>{}</bdi>", hidden, shortened(run.name, LONGEST_NAME))
    link = format_html('<a href="/runs/{}/">{}{}</a>', run.pk, run.pk, name)
    notes: list[str] = []
    if run.kind != Kind.TRAIN:
        notes.append(run.get_kind_display() + (f" of run {run.parent_id}" if run.parent_id else ""))
    if run.archived_at:
        notes.append("archived")
    return format_html('{}<br><span class="muted">{}</span>', link, ", ".join(notes)) if notes else link


def status_cell(run: Run, waiting: str) -> SafeString:
    """The state with icon and word, and why a queued run waits."""
    return format_html(
        '<span class="badge badge-{}">{}</span><div class="muted waits" data-waiting{}>{}</div>',
        run.status, run.status, "" if waiting else mark_safe(" hidden"), waiting,
    )  # fmt: skip


def progress_cell(run: Run) -> SafeString:
    """Steps done of all, and the time left of what works."""
    if not run.total_steps:
        return NOTHING
    left = eta_seconds(run)
    return format_html(
        '<progress class="progress" max="{}" value="{}" aria-label="Progress">{} %</progress>'
        '<span class="muted"><span data-steps>{} / {}</span>'
        '<span data-eta{}> · {}</span></span>',
        run.total_steps, min(run.step, run.total_steps), run.progress_percent, run.step, run.total_steps,
        mark_safe(" hidden") if left is None else "", "" if left is None else in_words(left),
    )  # fmt: skip


def eta_seconds(run: Run) -> float | None:
    """Estimate the seconds that a run at work still needs; None where nobody knows."""
    return seconds_left(run) if run.is_supervised else None


def dataset_cell(run: Run) -> SafeString:
    """Key and the beginning of the content's hash."""
    if run.dataset is None:
        return NOTHING
    return format_html(
        '<a href="{}">{}</a><span class="muted mono hash">@{}</span>',
        reverse("datasets:detail", args=[run.dataset.address]), run.dataset.key, run.dataset.content_hash[:8],
    )  # fmt: skip


def model_cell(run: Run) -> SafeString:
    """Name of the preset, and how many parameters it has."""
    model = run.config.get("model", "")
    if run.parameters is None:
        return format_html("{}", model)
    return format_html('{} <span class="muted">{}</span>', model, rounded(run.parameters))


def rounded(value: float) -> str:
    """Show a large number with three digits and k, M or B."""
    for scale, letter in ((BILLION, "B"), (MILLION, "M"), (THOUSAND, "k")):
        if abs(value) >= scale * 0.9995:
            return (
                f"{value / scale:.3g}{letter}"
                if abs(value) < 1000 * scale
                else f"{value / scale:,.0f}{letter}"
            )
    return f"{value:.3g}"


def device_cell(run: Run) -> SafeString:
    """Kind and index, and the device's name."""
    label = f"{run.device_kind}:{run.device_index}" if run.device_kind == "gpu" else run.device_kind
    if not run.device_name:
        return format_html("{}", label)
    return format_html('<span title="{}">{}</span>', run.device_name, label)


def accuracy_cell(run: Run) -> SafeString:
    """The best evaluation: right answers, 95 % interval, sample and step."""
    row = run.best_evaluation
    if row is None:
        return NOTHING
    return format_html(
        '{} <span class="muted evaluation">{} – {}, n&nbsp;=&nbsp;{}, step&nbsp;{}</span>',
        percent(row.answer_accuracy), percent(row.interval_low), percent(row.interval_high), row.n, row.step,
    )  # fmt: skip


def tags_cell(run: Run) -> SafeString:
    """Tags, each a link to the runs that have it."""
    links = format_html_join(
        " ", '<a class="tag" href="?q=tag:{}">{}</a>', ((quote(name), name) for name in tags_of(run))
    )
    return links or NOTHING


def time_cell(value: Any) -> SafeString:
    """A moment, to the minute."""
    if value is None:
        return NOTHING
    local = timezone.localtime(value)
    day, clock = f"{local:%Y-%m-%d}", f"{local:%H:%M}"
    markup = '<time datetime="{}"><span class="nowrap">{}</span> {}</time>'
    return format_html(markup, local.isoformat(), day, clock)


def number_cell(value: float | None) -> SafeString:
    """A number with four decimals as losses have them, or in significant digits."""
    if value is None:
        return NOTHING
    return format_html("{}", f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else quantity(value))


def speed_cell(value: float | None) -> SafeString:
    """Tokens a second."""
    return NOTHING if value is None else format_html("{}", quantity(value))


def size_cell(run: Run) -> SafeString:
    """Bytes of the checkpoints on the disk."""
    return format_html("{}", size(run.checkpoint_bytes)) if run.checkpoint_bytes else NOTHING


def duration_cell(run: Run) -> SafeString:
    """Time since the newest start."""
    return format_html("{}", duration(run)) if run.started_at else NOTHING


def text_cell(value: object) -> SafeString:
    """Any value, short."""
    if value in (None, ""):
        return NOTHING
    if isinstance(value, bool):
        return format_html("{}", "yes" if value else "no")
    return format_html("{}", shortened(str(value), LONGEST_VALUE))
