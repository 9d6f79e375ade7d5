"""The columns that a list of runs may have: what each shows, how it sorts, groups and is exported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Expression, F
from django.db.models.fields.json import KeyTransform
from django.utils import timezone
from django.utils.safestring import SafeString

from runs.listing import cells
from runs.listing.fields import CONFIG_PREFIX, PROGRESS, SECONDS_LEFT, SHORT, TIME_TAKEN
from runs.listing.organising import tags_of
from runs.models import Run
from runs.states import Kind
from runs.waiting import in_words
from training.config import TrainConfig

type Sortable = Expression | F

__all__ = ["COLUMNS", "DEFAULT_COLUMNS", "GROUPINGS", "Column", "column_named", "grouping_named"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list.

    ``sort``: what orders by it (None: nothing does); ``export``: its plain values by name in files;
    ``live``: the attribute by which the page finds the cell that changes by itself.
    """

    name: str
    label: str
    cell: Callable[[Run], SafeString]
    export: Callable[[Run], dict[str, Any]]
    sort: Sortable | None = None
    numeric: bool = False
    about: str = ""
    live: str = ""
    wraps: bool = False


def _one(name: str, value: Callable[[Run], Any]) -> Callable[[Run], dict[str, Any]]:
    return lambda run: {name: value(run)}


def _dataset(run: Run) -> dict[str, Any]:
    data = run.dataset
    return {"dataset": data.key if data else None, "content_hash": data.content_hash if data else None}


def _evaluation(run: Run) -> dict[str, Any]:
    row = run.best_evaluation
    names = ("answer_accuracy", "interval_low", "interval_high", "step_accuracy", "loss", "n", "step")
    return {f"best_{name}": getattr(row, name) if row else None for name in names}


def seconds_taken(run: Run) -> float | None:
    """Give the seconds since a run's newest start, until its end or now."""
    if run.started_at is None:
        return None
    return round(((run.finished_at or timezone.now()) - run.started_at).total_seconds(), 3)


def _moment(name: str) -> dict[str, Any]:
    return {
        "cell": lambda run: cells.time_cell(getattr(run, name)),
        "export": lambda run: {name: value.isoformat() if (value := getattr(run, name)) else None},
        "sort": F(name),
    }


def _plain(name: str) -> dict[str, Any]:
    return {
        "cell": lambda run: cells.text_cell(getattr(run, name)),
        "export": _one(name, lambda run: getattr(run, name)),
        "sort": F(name),
    }


def _number(name: str, cell: Callable[[Any], SafeString] = cells.number_cell) -> dict[str, Any]:
    return {**_plain(name), "cell": lambda run: cell(getattr(run, name)), "numeric": True}


def _nothing(_run: Run) -> dict[str, Any]:
    """What stands in a file under another column already."""
    return {}


def _time_left(run: Run) -> SafeString:
    left = cells.eta_seconds(run)
    return cells.text_cell(None if left is None else in_words(left))


def _device(run: Run) -> dict[str, Any]:
    return {"device": run.device_kind, "device_index": run.device_index, "device_name": run.device_name}


def _owner(run: Run) -> str | None:
    return run.owner.get_username() if run.owner else None


_ALL: Final = (
    Column("run", "Run", cells.run_cell, lambda run: {"id": run.pk, "name": run.name}, F("pk"), wraps=True,
           about="number and name"),
    Column("name", "Name", lambda run: cells.text_cell(run.name), _nothing, F("name"), wraps=True),
    # The page adds why a queued run waits.
    Column("status", "Status", lambda run: cells.status_cell(run, ""), _one("status", lambda run: run.status),
           F("status"), live="status"),
    Column("kind", "Kind", lambda run: cells.text_cell(run.get_kind_display()),
           _one("kind", lambda run: run.kind), F("kind")),
    Column("progress", "Progress", cells.progress_cell,
           lambda run: {"step": run.step, "total_steps": run.total_steps}, PROGRESS, live="progress",
           about="steps done, and the time left"),
    Column("eta", "Time left", _time_left,
        _one("eta_seconds", cells.eta_seconds), SECONDS_LEFT),
    Column("dataset", "Dataset", cells.dataset_cell, _dataset, F("dataset__key"), wraps=True,
           about="key and version"),
    Column("model", "Model", cells.model_cell,
           lambda run: {"parameters": run.parameters}, F("parameters"), about="preset and parameters"),
    Column("device", "Device", cells.device_cell,
           _device, F("device_kind")),
    Column("loss", "Loss", lambda run: cells.number_cell(run.last_loss),
           _one("last_loss", lambda run: run.last_loss), F("last_loss"), True, live="loss",
           about="newest training loss, nats a token"),
    Column("final_loss", "Final loss", about="training loss at the end", **_number("final_loss")),
    Column("accuracy", "Best evaluation", cells.accuracy_cell, _evaluation,
           F("best_evaluation__answer_accuracy"), about="held-out answers right, with n and step",
           live="accuracy"),
    Column("speed", "Tokens/s", lambda run: cells.speed_cell(run.tokens_per_second),
           _one("tokens_per_second", lambda run: run.tokens_per_second), F("tokens_per_second"), True,
           live="speed", about="real tokens a second, median of the last steps"),
    Column("step_time", "Step time", about="seconds an update, median of the last steps",
           **_number("step_seconds")),
    Column("duration", "Duration", cells.duration_cell, _one("duration_seconds", seconds_taken), TIME_TAKEN,
           live="duration"),
    Column("started", "Started", **_moment("started_at")),
    Column("created", "Created", **_moment("created_at")),
    Column("finished", "Finished", **_moment("finished_at")),
    Column("tags", "Tags", cells.tags_cell, _one("tags", tags_of),
           wraps=True),
    Column("owner", "Owner", lambda run: cells.text_cell(_owner(run)), _one("owner", _owner),
           F("owner__username")),
    Column("size", "Checkpoints", cells.size_cell, _one("checkpoint_bytes", lambda run: run.checkpoint_bytes),
           F("checkpoint_bytes"), True, about="bytes of its checkpoints on the disk"),
    Column("parent", "Parent", **_plain("parent_id")),
    Column("attempt", "Attempts", **_number("attempt", cells.text_cell)),
    Column("priority", "Priority", **_number("priority", cells.text_cell)),
    Column("reason", "Reason", wraps=True, **_plain("reason")),
)  # fmt: skip
COLUMNS: Final = {column.name: column for column in _ALL}
DEFAULT_COLUMNS: Final = (
    "run", "status", "progress", "dataset", "model", "loss", "accuracy", "speed", "duration",
    "started", "tags",
)  # fmt: skip
SORT_ALIASES: Final = {"id": "run", "number": "run", "params": "model", "parameters": "model"}


def _config_column(name: str) -> Column:
    numeric = isinstance(TrainConfig.model_fields[name].default, int | float)
    return Column(
        f"{CONFIG_PREFIX}{name}",
        name,
        lambda run: cells.text_cell(run.config.get(name)),
        lambda run: {f"{CONFIG_PREFIX}{name}": run.config.get(name)},
        KeyTransform(name, "config"),
        numeric,
        about=TrainConfig.model_fields[name].description or "",
    )


_OF_CONFIG: Final = {name: _config_column(name) for name in TrainConfig.model_fields}
CONFIG_COLUMNS: Final = {column.name: column for column in _OF_CONFIG.values()}


def column_named(name: str) -> Column | None:
    """Find a column: its name, ``config.NAME``, or the bare or short name of a field of the config."""
    word = SORT_ALIASES.get(name, name)
    if word in COLUMNS:
        return COLUMNS[word]
    bare = word.removeprefix(CONFIG_PREFIX)
    return _OF_CONFIG.get(SHORT.get(bare, bare))


@dataclass(frozen=True, slots=True)
class Grouping:
    """What rows can be gathered by: its value in the database and of a run, and what a group is called."""

    name: str
    label: str
    sort: Sortable
    value: Callable[[Run], Any]
    titled: Callable[[Any], str] = str

    def title(self, run: Run) -> str:
        """Name the group that a run belongs to."""
        return self.titled(self.value(run))


GROUPINGS: Final = {
    grouping.name: grouping
    for grouping in (
        Grouping("status", "Status", F("status"), lambda run: run.status),
        Grouping("kind", "Kind", F("kind"), lambda run: run.kind, lambda kind: str(Kind(kind).label)),
        Grouping(
            "dataset",
            "Dataset",
            F("dataset__key"),
            lambda run: run.dataset.key if run.dataset else None,
            lambda key: key or "no dataset",
        ),
        Grouping(
            "device",
            "Device",
            F("device_name"),
            lambda run: run.device_name,
            lambda name: name or "device not known",
        ),
        Grouping("owner", "Owner", F("owner__username"), _owner, lambda name: name or "nobody"),
    )
}


def grouping_named(name: str) -> Grouping | None:
    """Find what to group by: one of `GROUPINGS`, or a field of the training config."""
    if name in GROUPINGS:
        return GROUPINGS[name]
    bare = name.removeprefix(CONFIG_PREFIX)
    column = _OF_CONFIG.get(SHORT.get(bare, bare))
    if column is None or column.sort is None:
        return None
    field = column.label
    return Grouping(
        column.name,
        field,
        column.sort,
        lambda run: run.config.get(field),
        lambda value: f"{field} {'–' if value is None else value}",
    )
