"""Make runs of ours of what was read: one row a run, its points by the one way that points take.

A run's ``uid`` is made of its source, so that another import of the same source finds it and adds only
what is new. A point that is here stays; a source that now tells another value of it is refused before
anything is stored.
"""

import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from runs.interchange.foreign import ForeignRun, moment
from runs.interchange.spool import Spool, Spooled
from runs.journal import storable
from runs.listing.organising import NO_TAGS, tag_named
from runs.metrics.points import MAX_NAME, Point, insert_points
from runs.models import Attempt, MetricPoint, Run
from runs.states import Kind, Status, sources_of
from tunix_site.errors import ConflictError, InvalidInputError
from tunix_site.services import record_audit

POINTS_A_BATCH = 10_000
MAX_RUN_NAME = 300
MAX_NOTES = 100_000
MAX_TAGS = 50
_NAMESPACE: Final = uuid.UUID("5b8f5d52-6d3c-5c57-9d68-7f3a0c1f4e21")
_TAG: Final = re.compile(r"[\w.+/-]{1,40}")
_MOMENT_OF_NONE: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(slots=True)
class Stored:
    """What became of one run of a source; ``stored`` points were new, ``created``: the run was, too."""

    name: str
    format: str
    metrics: int
    points: int
    stored: int
    created: bool
    status: str
    run_id: int | None = None
    notices: list[str] = field(default_factory=list)


def check_tags(tags: list[str]) -> None:
    """Make sure that tags asked for can be put on a run.

    Raises:
        InvalidInputError: naming the one that cannot.
    """
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InvalidInputError(
                f"--tag {tag[:80]!r} is no tag.", hint="Write at most 40 letters, digits and . + / - _."
            )
        if tag.lower() in NO_TAGS:
            raise InvalidInputError(f"No tag is called {tag}: a search means something else by it.")


def store_all(runs: list[ForeignRun], spool: Spool, *, tags: list[str], dry_run: bool) -> list[Stored]:
    """Store every run, each in a transaction of its own, after all of them are known to fit.

    Raises:
        ConflictError: when a run is here with another value of a point.
    """
    seen: dict[uuid.UUID, ForeignRun] = {}
    for run in runs:
        twin = seen.setdefault(_uid(run), run)
        if twin is not run:
            raise ConflictError(
                f"{run.source} and {twin.source} begin with the very same record.",
                hint="One is a copy of the other: name one of the two.",
            )
    plans = [_Plan(run, spool) for run in runs]
    for plan in plans:
        plan.compare()
    return [plan.told() if dry_run else plan.carry_out(tags) for plan in plans]


def _uid(run: ForeignRun) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{run.format}\n{run.identity}")


class _Plan:
    """One run on its way into the database."""

    def __init__(self, foreign: ForeignRun, spool: Spool) -> None:
        self.foreign, self.spool = foreign, spool
        self.uid = _uid(foreign)
        self.known = Run.objects.filter(uid=self.uid).first()
        self.notices = list(foreign.notices)
        self.names = self._stored_names()
        self.fresh = self.points = 0

    def _stored_names(self) -> dict[str, str]:
        """Give the name under which each metric is stored; one that is too long is shortened, and said."""
        found: dict[str, str] = {}
        for name in self.spool.names(self.foreign.number):
            fits = storable(name)
            if len(fits) > MAX_NAME:
                digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
                fits = f"{fits[: MAX_NAME - 11]}~{digest}"
                self.notices.append(f"the metric {name[:100]!r} is too long and is stored as {fits!r}")
            found[name] = fits
        if len(set(found.values())) < len(found):
            raise InvalidInputError(f"{self.foreign.source}: two metrics have the same name here.")
        return found

    def compare(self) -> None:
        """Count what is new, and refuse a source that contradicts what is here."""
        self.points = self.spool.count(self.foreign.number)
        if self.known is None:
            self._say_what_is_cut_off()
        if replaced := self.spool.replaced(self.foreign.number):
            self.notices.append(
                f"{replaced} points were written again later under the same step; the last is taken"
            )
        if self.known is None:
            self.fresh = self.points
            return
        if self.known.kind != Kind.IMPORTED:
            raise ConflictError(
                f"Run {self.known.pk} has the uid of {self.foreign.source}, but was not imported."
            )
        for name in self.names:
            self.fresh += sum(1 for _ in self._new_points(name))

    def _say_what_is_cut_off(self) -> None:
        foreign = self.foreign
        for what, text, most in (("name", foreign.name, MAX_RUN_NAME), ("notes", foreign.notes, MAX_NOTES)):
            if len(text) > most:
                self.notices.append(f"its {what} was cut off at {most} characters")
        if len(foreign.tags) > MAX_TAGS:
            self.notices.append(f"of its {len(foreign.tags)} tags the first {MAX_TAGS} were taken")

    def _new_points(self, name: str) -> Iterator[Spooled]:
        """Give the points of a metric that are not here yet.

        Raises:
            ConflictError: at the first that is here with another value.
        """
        if self.known is None:
            yield from self.spool.points(self.foreign.number, name)
            return
        rows = MetricPoint.objects.filter(run=self.known, name=self.names[name], superseded=False)
        here = iter(rows.order_by("step").values_list("step", "value", "non_finite").iterator(POINTS_A_BATCH))
        row = next(here, None)
        for point in self.spool.points(self.foreign.number, name):
            while row is not None and row[0] < point.step:
                row = next(here, None)
            if row is None or row[0] != point.step:
                yield point
            elif (row[1], row[2]) != (point.value, point.word):
                here_is, there_is = row[2] or row[1], point.word or point.value
                raise ConflictError(
                    f"Run {self.known.pk} came from this source and has another value of {name[:80]} at step "
                    f"{point.step}: {here_is} here, {there_is} in {self.foreign.source}.",
                    hint="Delete that run and import again; give a table of another run a --name of its own.",
                )

    def told(self) -> Stored:
        """Say what would come."""
        return Stored(
            self.foreign.name[:MAX_RUN_NAME],
            self.foreign.format,
            len(self.names),
            self.points,
            self.fresh,
            self.known is None,
            str(self.foreign.status),
            self.known.pk if self.known else None,
            self.notices,
        )

    def carry_out(self, tags: list[str]) -> Stored:
        """Write the row, its attempt and its new points, all or nothing."""
        try:
            with transaction.atomic():
                run = self.known or self._create()
                attempt = Attempt.objects.get(run=run, number=1)
                if self.fresh:
                    self._insert(attempt)
                if self.fresh or self.known is None:
                    self._bring_up_to_date(run)
                self._put_tags(run, tags)
        except IntegrityError as error:
            raise ConflictError(
                f"{self.foreign.source} was imported by somebody else meanwhile.", hint="Import it again."
            ) from error
        told = self.told()
        told.run_id = run.pk
        return told

    def _create(self) -> Run:
        foreign = self.foreign
        started = self._moment(foreign.started_at) or timezone.now()
        run = Run.objects.create(
            uid=self.uid,
            kind=Kind.IMPORTED,
            name=storable(foreign.name)[:MAX_RUN_NAME],
            status=foreign.status,
            phase="finished",
            attempt=1,
            reason=storable(foreign.reason),
            config=_storable_json(foreign.config),
            notes=storable(foreign.notes)[:MAX_NOTES],
            device_kind="",
            origin=storable(f"{foreign.format}: {foreign.source}"),
            provenance={
                "imported": {
                    "format": foreign.format,
                    "source": storable(foreign.source),
                    "host": storable(foreign.host),
                    "notices": storable("; ".join(self.notices))[:MAX_NOTES],
                }
            },
            started_at=started,
            finished_at=self._moment(foreign.finished_at),
        )
        Attempt.objects.create(
            run=run,
            number=1,
            host=storable(foreign.host)[:255],
            device="",
            status=foreign.status,
            reason=storable(foreign.reason),
        )
        Attempt.objects.filter(run=run).update(started_at=started, finished_at=run.finished_at)
        record_audit(
            actor=None,
            action="run.imported",
            target_type="run",
            target_id=run.pk,
            detail={
                "format": foreign.format,
                "source": storable(foreign.source)[:1000],
                "points": self.points,
            },
        )
        return run

    def _insert(self, attempt: Attempt) -> None:
        batch: list[Point] = []
        for name, stored in self.names.items():
            for point in self._new_points(name):
                at = self._moment(point.at) or self._moment(self.foreign.started_at) or _MOMENT_OF_NONE
                batch.append(Point(stored, point.step, point.value, point.word, at))
                if len(batch) >= POINTS_A_BATCH:
                    insert_points(attempt=attempt, points=batch)
                    batch = []
        insert_points(attempt=attempt, points=batch)

    def _bring_up_to_date(self, run: Run) -> None:
        last = max(run.step, self.spool.last_step(self.foreign.number))
        finished = self._moment(self.foreign.finished_at)
        same = Run.objects.filter(pk=run.pk)
        same.update(step=last, total_steps=last, finished_at=finished)
        Attempt.objects.filter(run=run, number=1).update(end_step=last, finished_at=finished)
        # The source may tell by now how the run ended.
        target = self.foreign.status
        reason = storable(self.foreign.reason)
        ended = same.filter(status__in=sources_of(target))
        if self.known is not None and target != Status.LOST and ended.update(status=target, reason=reason):
            Attempt.objects.filter(run=run, number=1).update(status=target, reason=reason)

    def _put_tags(self, run: Run, asked: list[str]) -> None:
        names = list(asked)
        for tag in self.foreign.tags[:MAX_TAGS] if self.known is None else []:
            fits = re.sub(r"[^\w.+/-]+", "-", storable(tag))[:40]
            if fits != tag:
                self.notices.append(f"the tag {tag[:80]!r} is stored as {fits!r}")
            names += [fits] if fits and fits.lower() not in NO_TAGS else []
        for name in dict.fromkeys(names):
            run.tags.add(tag_named(name))

    def _moment(self, seconds: float | None) -> dt.datetime | None:
        return None if seconds is None else moment(seconds, self.foreign.source)


def _storable_json(config: dict[str, Any]) -> dict[str, Any]:
    return {
        storable(name): storable(value) if isinstance(value, str) else value for name, value in config.items()
    }
