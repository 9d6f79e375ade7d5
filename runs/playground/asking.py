"""What people may ask of a model on the playground, checked, and put into the queue."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from runs.base_models.bounded import count_tokens
from runs.models import Checkpoint, Generation, PlaygroundSession, Run
from runs.playground.measure import measure_for
from runs.playground.sessions import session_for
from runs.playground.standing import open_generations
from runs.promotion.finding import checkpoint_named
from runs.selectors import find_checkpoint
from runs.services import Actor, audit
from runs.states import Kind
from training.bases import is_base
from training.config import TrainConfig
from training.decoding import Decoding, make_decoding
from training.errors import ConfigError
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError, TooManyError

LONGEST_PROMPT: Final = 100_000
LONGEST_ANSWER: Final = 10_000
# A name with its scope.
LONGEST_CHECKPOINT: Final = 141
LONGEST_REFUSAL: Final = 500
DEFAULT_LENGTH: Final = 256
# Settings of `Decoding` that are asked for, in the order of the form; it writes one text a prompt.
FIELDS: Final = ("max_new_tokens", "temperature", "top_k", "top_p", "seed")
MINUTE: Final = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, how it is to be answered, and what would be right (None: nobody knows)."""

    prompt: str
    decoding: Decoding
    answer: str | None = None
    trace_hash: str = ""


def read_question(
    *, prompt: str, decoding: Mapping[str, Any], answer: str | None = None, trace_hash: str = ""
) -> Question:
    """Check what somebody asks.

    Raises:
        InvalidInputError: naming the field, what is wrong with it and what is allowed.
    """
    if not prompt.strip():
        raise InvalidInputError("prompt: there is nothing to answer; write a prompt.")
    _require_text("prompt", prompt, LONGEST_PROMPT)
    if answer is not None:
        _require_text("expected_answer", answer, LONGEST_ANSWER)
    return Question(prompt, _read_decoding(decoding), answer, trace_hash)


def _require_text(name: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidInputError(f"{name}: it has {len(text)} characters; at most {most} are taken.")
    if "\x00" in text:
        raise InvalidInputError(f"{name}: it holds a NUL character, which no text column can; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name}: character {error.start + 1} is half of a surrogate pair and no text; remove it."
        ) from error


def _read_decoding(values: Mapping[str, Any]) -> Decoding:
    if unknown := sorted(values.keys() - set(FIELDS)):
        raise InvalidInputError(
            f"{', '.join(unknown)[:100]}: the playground has no such setting; it has {', '.join(FIELDS)}."
        )
    most = settings.TUNIX_PLAYGROUND_LENGTH
    try:
        decoding = make_decoding({"max_new_tokens": min(DEFAULT_LENGTH, most), **values})
    except ConfigError as error:
        raise InvalidInputError(str(error)[:LONGEST_REFUSAL]) from error
    if decoding.max_new_tokens > most:
        raise InvalidInputError(
            f"max_new_tokens: {decoding.max_new_tokens} is more than the {most} that this site allows "
            "(TUNIX_PLAYGROUND_LENGTH)."
        )
    return decoding


def find_columns(
    run: Run, *, checkpoint: str, beside_run: Run | None = None, beside_checkpoint: str = ""
) -> list[Checkpoint]:
    """Find the one or two checkpoints that are asked; each ``latest``, ``best``, a step or an alias.

    Raises:
        ConflictError: for a run that is no training, or an alias that cannot be followed.
        InvalidInputError, NotFoundError: where there is no such checkpoint, or both are the same.
    """
    columns = [_checkpoint(run, checkpoint)]
    if beside_run is None and not beside_checkpoint:
        return columns
    columns.append(_checkpoint(beside_run or run, beside_checkpoint or "latest"))
    if columns[0].pk == columns[1].pk:
        raise InvalidInputError(
            f"beside: it is the same checkpoint, step {columns[0].step} of run {run.pk}; choose another one."
        )
    return columns


def _checkpoint(run: Run, which: str) -> Checkpoint:
    if run.kind != Kind.TRAIN:
        raise ConflictError(
            f"Run {run.pk} ({run.get_kind_display()}) has no model of its own.", hint="Choose a training."
        )
    # Digits of other alphabets are none of ours, and no step is longer.
    if which in {"latest", "best"} or (which.isascii() and which.isdecimal() and len(which) < 11):
        return find_checkpoint(run=run, which=which)
    try:
        return checkpoint_named(run, which)
    except (InvalidInputError, NotFoundError) as error:
        raise InvalidInputError(
            f"checkpoint: {which[:40]!r} is neither latest, best nor a step, "
            f"nor a name on a checkpoint of run {run.pk}."
        ) from error


def ask(
    question: Question, *, columns: Sequence[Checkpoint], actor: Actor, origin: str = ""
) -> list[Generation]:
    """Put one generation a column into the queue, all or none.

    Raises:
        InvalidInputError: where the prompt is too long for a model.
        TooManyError: where this person has too many open, or asks too often.
    """
    for checkpoint in columns:
        _require_fit(question.prompt, checkpoint.run)
    with transaction.atomic():
        owner = _require_room(actor, len(columns))
        # Always in one order, so that two people who ask the same two processes do not wait for each other.
        places = sorted(columns, key=lambda one: (one.run.store, one.run.device_kind))
        sessions = {one.pk: session_for(one, actor=actor) for one in places}
        first: Generation | None = None
        made = []
        for checkpoint in columns:
            row = _write_down(question, checkpoint, sessions[checkpoint.pk], owner=owner, beside=first)
            first = first or row
            made.append(row)
            audit(checkpoint.run, "playground", actor, generation=row.pk, step=checkpoint.step, reason=origin)
    return made


def _write_down(
    question: Question,
    checkpoint: Checkpoint,
    session: PlaygroundSession,
    *,
    owner: User | None,
    beside: Generation | None,
) -> Generation:
    # Each by what its own model was trained on.
    measure = measure_for(
        checkpoint.run, prompt=question.prompt, trace_hash=question.trace_hash, answer=question.answer
    )
    return Generation.objects.create(
        run=checkpoint.run,
        step=checkpoint.step,
        path=checkpoint.path,
        session=session,
        beside=beside,
        owner=owner,
        prompt=question.prompt,
        decoding=question.decoding.model_dump(),
        family=measure.family,
        trace_hash=measure.trace_hash,
        expected_steps=list(measure.steps),
        expected_answer=measure.answer,
    )


def _require_fit(prompt: str, run: Run) -> None:
    config = TrainConfig.model_validate(run.config)
    length = config.sequence_length
    try:
        tokens = count_tokens(config, prompt)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    if tokens >= length:
        room = "" if is_base(config.model) else f" to {length - 2} bytes or fewer"
        raise InvalidInputError(
            f"prompt: it takes {tokens} tokens, and the model of run {run.pk} knows sequences of {length}, "
            f"answer included; shorten it{room}."
        )


def _require_room(actor: Actor, more: int) -> User | None:
    """Make sure that a person asks neither for too much nor too often; give that person."""
    if not isinstance(actor, User):
        return None
    # Two questions of one person come one after the other here (on PostgreSQL; SQLite has one writer).
    # Rows that name the person may still come: a session that closes writes one while it holds its own.
    User.objects.select_for_update(no_key=True).get(pk=actor.pk)
    waiting, most = open_generations().filter(owner=actor).count(), settings.TUNIX_PLAYGROUND_WAITING
    if waiting + more > most:
        raise TooManyError(
            f"You have {waiting} texts waiting or being written, and at most {most} may be open at a time.",
            hint="Wait for one of them, or stop one.",
        )
    recent = Generation.objects.filter(owner=actor, created_at__gt=timezone.now() - MINUTE)
    times = sorted(recent.values_list("created_at", flat=True))
    often = settings.TUNIX_PLAYGROUND_PER_MINUTE
    if len(times) + more > often:
        # So many must be older than a minute before there is room.
        last = times[min(len(times) + more - often, len(times)) - 1] if times else timezone.now()
        seconds = max(1, round((last + MINUTE - timezone.now()).total_seconds()) + 1)
        raise TooManyError(
            f"You asked for {len(times)} texts within a minute, and {often} are the most.",
            hint=f"Try again in {seconds} s.",
        )
    return actor
