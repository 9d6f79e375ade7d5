"""What the list of runs can be searched by: names, what they mean, and the conditions behind them."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import DurationField, ExpressionWrapper, F, FloatField, Q, Value
from django.db.models.functions import Cast, Coalesce, Now, NullIf

from runs.listing import values
from runs.listing.conditions import (
    EQUAL,
    NOTHING,
    Asked,
    Condition,
    WrongValueError,
    calculated,
    compared,
    containing,
    known,
    measured,
    moment,
    one_of,
    truth,
    whole,
)
from runs.models import Run
from runs.states import ALIVE, ENDED, INTERRUPTED, SUPERVISED, Kind, Status
from training.config import TrainConfig

CONFIG_PREFIX: Final = "config."
# Short names of fields of the training config.
SHORT: Final = {
    "lr": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "seq": "sequence_length",
    "wd": "weight_decay",
    "warmup": "warmup_steps",
    "opt": "optimizer",
    "ema": "ema_decay",
}
GROUPS: Final = {
    "alive": sorted(ALIVE),
    "active": sorted(SUPERVISED),
    "ended": sorted(ENDED),
    "interrupted": sorted(INTERRUPTED),
}
SECONDS_LEFT: Final = ExpressionWrapper(
    (F("total_steps") - F("step")) * F("step_seconds"), output_field=FloatField()
)
TIME_TAKEN: Final = ExpressionWrapper(
    Coalesce(F("finished_at"), Now()) - F("started_at"), output_field=DurationField()
)
PROGRESS: Final = ExpressionWrapper(
    # PostgreSQL refuses to divide by nothing, and may divide before it asks for other conditions.
    Cast("step", FloatField()) / NullIf(Cast("total_steps", FloatField()), Value(0.0)),
    output_field=FloatField(),
)


@dataclass(frozen=True, slots=True)
class Field:
    """Something to search by.

    ``ordered``: it can be compared with ``<`` and ``>``. ``empty``: the condition under which a run has no
    such thing, for ``name:none`` and ``name:any``.
    """

    name: str
    about: str
    example: str
    condition: Condition
    aliases: tuple[str, ...] = ()
    ordered: bool = False
    empty: Q | None = None


def _of_dataset(asked: Asked) -> Q:
    key, at, digest = asked.text.partition("@")
    found = Q(**{"dataset__key" if asked.operator == "=" else "dataset__key__icontains": key}) if key else Q()
    return found & Q(dataset__content_hash__startswith=digest.lower()) if at else found


def _of_tag(asked: Asked) -> Q:
    # A subquery, so that two tags may be asked for, and negation means "has none such".
    links = Run.tags.through.objects.filter(tag__name__iexact=asked.text)
    return Q(pk__in=links.values("run_id"))


def _of_owner(asked: Asked) -> Q:
    if asked.text.lower() == "me":
        user = asked.user
        return Q(owner=user.pk) if isinstance(user, AbstractBaseUser) else NOTHING
    return Q(owner__username__iexact=asked.text)


def _of_device(asked: Asked) -> Q:
    kind, colon, index = asked.text.lower().partition(":")
    if kind in {"cpu", "gpu"}:
        found = Q(device_kind=kind)
        if not colon:
            return found
        if not (index.isdecimal() and len(index) < 5):
            raise WrongValueError("cpu, gpu, gpu:0 or a part of the device's name")
        return found & Q(device_index=int(index))
    return Q(device_name__icontains=asked.text)


def of_number(text: str) -> Q:
    """Find a run by its number; nothing for a text that is none."""
    return Q(pk=int(text)) if text.isdecimal() and len(text) < 19 else NOTHING


_NUMBER_HINT = "a number, as 0.5, 1e-3 or 1.5m"
_SPAN_HINT = "a time, as 90s, 5m, 2h or 1h30m"
_TRAINED: Final = Q(total_steps__gt=0)

FIELDS: Final = [
    Field("status", "where it stands; also alive, active, ended, interrupted", "status:running,queued",
          one_of("status", [str(value) for value in Status.values], GROUPS)),
    Field("kind", "train, evaluate, generate, bench or playground", "kind:train",
          one_of("kind", [str(value) for value in Kind.values])),
    Field("id", "its number", "id:100..120", whole("pk", "the number of a run, or 100..120"),
          aliases=("run", "number"), ordered=True),
    Field("name", "part of its name", 'name:"chain lr"', containing("name"), empty=Q(name="")),
    Field("notes", "part of its notes", "notes:spike", containing("notes"), aliases=("note",),
          empty=Q(notes="")),
    Field("tag", "a tag that it has", "tag:baseline", _of_tag, aliases=("tags",),
          empty=Q(tags__isnull=True)),
    Field("dataset", "part of the dataset's key, with the hash behind @", "dataset:gsm8k@3f2a", _of_dataset,
          aliases=("data",), empty=Q(dataset__isnull=True)),
    Field("model", "part of the model's name", "model:tiny", containing("config__model")),
    Field("params", "parameters of the model", "params>1m", whole("parameters", _NUMBER_HINT),
          aliases=("parameters",), ordered=True, empty=Q(parameters__isnull=True)),
    Field("device", "cpu, gpu, gpu:0 or part of the device's name", "device:gpu", _of_device),
    Field("loss", "newest training loss", "loss<0.5", measured("last_loss", values.number, _NUMBER_HINT),
          aliases=("last_loss",), ordered=True, empty=Q(last_loss__isnull=True)),
    Field("final_loss", "training loss at the end", "final_loss<0.5",
          measured("final_loss", values.number, _NUMBER_HINT), ordered=True,
          empty=Q(final_loss__isnull=True)),
    Field("accuracy", "right answers of the best evaluation", "accuracy>90%",
          measured("best_evaluation__answer_accuracy", values.share, "a share, as 0.9 or 90%"),
          aliases=("acc", "evaluation"), ordered=True, empty=Q(best_evaluation__isnull=True)),
    Field("eval_loss", "loss of the best evaluation", "eval_loss<1",
          measured("best_evaluation__loss", values.number, _NUMBER_HINT), ordered=True,
          empty=Q(best_evaluation__loss__isnull=True)),
    Field("speed", "tokens a second", "speed>10k",
          measured("tokens_per_second", values.number, _NUMBER_HINT),
          aliases=("tokens_per_second", "tps"), ordered=True, empty=Q(tokens_per_second__isnull=True)),
    Field("step", "steps done", "step>=1000", whole("step", _NUMBER_HINT), ordered=True),
    Field("progress", "share of its steps that is done", "progress<50%",
          calculated(PROGRESS, values.share, "a share, as 0.5 or 50%", where=_TRAINED), ordered=True),
    Field("eta", "time until it is through, of what runs", "eta<1h",
          calculated(SECONDS_LEFT, values.seconds, _SPAN_HINT,
                     where=_TRAINED & Q(status__in=SUPERVISED, step_seconds__isnull=False)), ordered=True),
    Field("duration", "time since its newest start", "duration>2h",
          calculated(TIME_TAKEN, values.seconds, _SPAN_HINT, where=Q(started_at__isnull=False),
                     unit=lambda value: dt.timedelta(seconds=min(value, 1e10))), ordered=True),
    Field("created", "when it was written down", "created:today", moment("created_at"), ordered=True),
    Field("started", "when it started last", "started>2026-01-01", moment("started_at"), ordered=True,
          empty=Q(started_at__isnull=True)),
    Field("finished", "when it ended", "finished>7d", moment("finished_at"), ordered=True,
          empty=Q(finished_at__isnull=True)),
    Field("owner", "who asked for it; me", "owner:me", _of_owner, aliases=("user",),
          empty=Q(owner__isnull=True)),
    Field("size", "bytes of its checkpoints", "size>1GiB",
          measured("checkpoint_bytes", values.size, "bytes, as 500MB or 1GiB"),
          aliases=("checkpoint_bytes",), ordered=True),
    Field("parent", "the run that it came from", "parent:12", whole("parent", "the number of a run"),
          ordered=True, empty=Q(parent__isnull=True)),
    Field("priority", "priority in the queue", "priority>0", whole("priority", "a whole number"),
          ordered=True),
    Field("attempt", "how often it was started", "attempt>1", whole("attempt", "a whole number"),
          ordered=True),
    Field("reason", "part of why it stands where it stands", "reason:memory", containing("reason", "error")),
    Field("archived", "yes, no or any; archived runs are hidden unless asked for", "archived:yes",
          truth(Q(archived_at__isnull=False)), empty=Q(archived_at__isnull=True)),
]  # fmt: skip


def _config_field(name: str) -> Field:
    path = f"config__{name}"
    field = TrainConfig.model_fields[name]
    default: Any = field.default
    words = _words_of(field.annotation)
    if isinstance(default, bool):
        condition, example = truth(Q(**{path: True})), f"{name}:yes"
    elif isinstance(default, int | float):
        condition, example = _config_number(path, words), f"{name}<={default}"
    else:
        condition, example = _config_word(path, words), f"{name}:{default}"
    return Field(
        name,
        field.description or "",
        example,
        condition,
        aliases=tuple(short for short, long in SHORT.items() if long == name),
        ordered=isinstance(default, int | float) and not isinstance(default, bool),
        empty=Q(**{f"{path}__isnull": True}),
    )


def _words_of(annotation: Any) -> list[str]:
    """List the words that a field of the config may have."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    return [word for part in get_args(annotation) for word in _words_of(part)]


def _config_word(path: str, words: list[str]) -> Condition:
    def condition(asked: Asked) -> Q:
        if words and asked.text not in words:
            raise WrongValueError(", ".join(words))
        return Q(**{path: asked.text})

    return condition


def _config_number(path: str, words: list[str]) -> Condition:
    inner = measured(path, values.number, _NUMBER_HINT)

    def condition(asked: Asked) -> Q:
        if asked.text in words:
            if asked.operator not in EQUAL:
                raise WrongValueError(_NUMBER_HINT)
            return Q(**{path: asked.text})
        if asked.operator not in EQUAL and words:
            # Databases order words among numbers, each in its own way.
            return compared(path, asked.operator, known(values.number, asked.text, _NUMBER_HINT)) & ~Q(
                **{f"{path}__in": words}
            )
        return inner(asked)

    return condition


CONFIG_FIELDS: Final = {name: _config_field(name) for name in TrainConfig.model_fields}


def _named() -> Iterator[tuple[str, Field]]:
    for name, field in CONFIG_FIELDS.items():
        for word in (name, *field.aliases):
            yield word, field
            yield f"{CONFIG_PREFIX}{word}", field
    # The run's own names go first where both have one.
    for field in FIELDS:
        for word in (field.name, *field.aliases):
            yield word, field


BY_NAME: Final = dict(_named())
