"""Look for the overlap of evaluations and store it; a guarded claim keeps two from the same work."""

import datetime as dt
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from itertools import batched
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from runs.models import Evaluation, Sample
from runs.overlap.measure import Asked, Found, Search
from runs.overlap.sources import Sources, training_sources

log = logging.getLogger(__name__)

# Raised where the same evaluation could come out otherwise; what an older one stored is then made anew.
METHOD_VERSION: Final = 1
# A claim that is older is of a process that died.
SILENT_AFTER: Final = dt.timedelta(minutes=10)
LOOKING: Final = "looking"
NAMED: Final = 20


def waiting() -> QuerySet[Evaluation]:
    """List the evaluations that nobody looked at yet; overtaken ones are left out."""
    return Evaluation.objects.filter(overlap__isnull=True, superseded=False)


def lost() -> QuerySet[Evaluation]:
    """List those whose claim is of a process that died; no index serves it, so it is asked rarely."""
    return Evaluation.objects.filter(_is_lost(), superseded=False)


def _is_lost() -> Q:
    stale = (timezone.now() - SILENT_AFTER).timestamp()
    return Q(overlap__state=LOOKING, overlap__at__lt=stale)


def check_waiting(
    *,
    seconds: float = 25.0,
    rows: QuerySet[Evaluation] | None = None,
    then: Callable[[Evaluation], None] = lambda _: None,
) -> int:
    """Look at the evaluations that wait, the newest first, until time is up; give how many were.

    ``then`` is called with each, once its overlap is stored. Where the database is away or locked
    meanwhile, the evaluation waits again.

    Raises:
        DatabaseError: where the database does not come back; the claim then counts as lost after a while.
    """
    until, done = time.monotonic() + seconds, 0
    refused: set[int] = set()
    while time.monotonic() < until:
        pk = _next(rows, refused)
        if pk is None:
            break
        evaluation = _claimed(pk)
        if evaluation is None or not _finish(evaluation, then):
            refused.add(pk)
            continue
        done += 1
    return done


def _next(rows: QuerySet[Evaluation] | None, refused: set[int]) -> int | None:
    """Find the newest that waits; where none does, the newest whose claim was lost."""
    asked = [waiting(), lost()] if rows is None else [rows.filter(overlap__isnull=True)]
    for todo in asked:
        pk = todo.exclude(pk__in=refused).order_by("-pk").values_list("pk", flat=True).first()
        if pk is not None:
            return pk
    return None


def _claimed(pk: int) -> Evaluation | None:
    """Claim an evaluation; None where another process was first, or its run has been deleted."""
    mine = Evaluation.objects.filter(Q(overlap__isnull=True) | _is_lost(), pk=pk, superseded=False)
    if not mine.update(overlap={"state": LOOKING, "at": timezone.now().timestamp()}):
        return None
    return Evaluation.objects.select_related("run__dataset", "run__parent", "dataset").filter(pk=pk).first()


def _finish(evaluation: Evaluation, then: Callable[[Evaluation], None]) -> bool:
    try:
        _look(evaluation)
        then(evaluation)
    except (OperationalError, InterfaceError):
        log.warning("the database did not answer; evaluation %s waits again", evaluation.pk, exc_info=True)
        if not connection.in_atomic_block and not connection.is_usable():
            connection.close()
        Evaluation.objects.filter(pk=evaluation.pk).update(overlap=None)
        return False
    return True


def _look(evaluation: Evaluation) -> None:
    """Check an evaluation that is claimed; what cannot be read is told in its row, and tried by hand."""
    try:
        check(evaluation)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("the overlap of evaluation %s could not be looked for", evaluation.pk)
        failed = {"state": "failed", "mark": "unchecked", "why": "it failed; the log says how"}
        Evaluation.objects.filter(pk=evaluation.pk).update(overlap=failed)
        evaluation.overlap = failed


def check(evaluation: Evaluation, *, anew: bool = False) -> dict[str, Any]:
    """Look for the prompts of an evaluation in its model's training data, and store what is found.

    Where another evaluation of the same prompts was checked against the same contents, its result is taken
    over, unless ``anew``. Trains of evaluations during a training thus cost one pass.
    """
    sources = training_sources(evaluation.run)
    hashes = list(_first_draws(evaluation).order_by("position").values_list("trace_hash", flat=True))
    key = _key(sources, hashes)
    same = None if anew else _same(evaluation, key)
    if same is not None:
        return _take_over(evaluation, same)
    search = Search(_prompts(evaluation))
    for dataset in sources.contents.values():
        search.read(dataset)
    found = search.end()
    facts = _facts(found, sources, n=len(hashes), key=key)
    _store(evaluation, facts, found.kinds())
    return facts


def _first_draws(evaluation: Evaluation) -> QuerySet[Sample]:
    return Sample.objects.filter(evaluation=evaluation, draw=0)


def _prompts(evaluation: Evaluation) -> list[Asked]:
    columns = ("position", "trace_hash", "prompt", "expected_steps", "expected_answer")
    return [Asked(*row) for row in _first_draws(evaluation).order_by("position").values_list(*columns)]


def _key(sources: Sources, hashes: Sequence[str]) -> str:
    """Name all that decides the result: method, contents, prompts in their order."""
    text = [f"method {METHOD_VERSION}", *sorted(one.content_hash for one in sources.contents.values())]
    return hashlib.sha256("\n".join([*text, "prompts", *hashes, *sources.unknown]).encode()).hexdigest()


def _same(evaluation: Evaluation, key: str) -> Evaluation | None:
    alike = Evaluation.objects.filter(
        dataset=evaluation.dataset_id, split=evaluation.split, n=evaluation.n, overlap__key=key
    )
    return alike.exclude(pk=evaluation.pk).order_by("-pk").first()


def _take_over(evaluation: Evaluation, same: Evaluation) -> dict[str, Any]:
    rows = _first_draws(same).exclude(overlap="").values_list("position", "overlap")
    facts: dict[str, Any] = {**(same.overlap or {}), "at": timezone.now().timestamp()}
    _store(evaluation, facts, dict(rows))
    return facts


def _facts(found: Found, sources: Sources, *, n: int, key: str) -> dict[str, Any]:
    kinds = list(found.kinds().values())
    counts = {kind: kinds.count(kind) for kind in ("trace", "prompt", "ngram")}
    unknown = [*sources.unknown, *([] if found.complete else ["not all runs of words were looked for"])]
    if counts["trace"] or counts["prompt"]:
        mark = "prompts"
    elif counts["ngram"]:
        mark = "ngrams"
    else:
        mark = "unknown" if unknown or not n else "clean"
    return {
        "state": "done",
        "method": METHOD_VERSION,
        "mark": mark,
        "n": n,
        **counts,
        "prompt_exact": len(found.exact),
        "prompt_normalised": len(found.prompt),
        "common": len(found.common - found.kinds().keys()),
        "short": len(found.short),
        "traces_read": found.traces_read,
        "contents": [
            {
                "id": pk,
                "address": one.address,
                "content_hash": one.content_hash,
                "train": one.train_count,
                "run_id": sources.runs[pk],
            }
            for pk, one in sources.contents.items()
        ],
        "complete": not unknown,
        "why": "; ".join(unknown[:NAMED]) if unknown else "" if n else "its prompts were not kept",
        "key": key,
        "at": timezone.now().timestamp(),
    }


def _store(evaluation: Evaluation, facts: dict[str, Any], kinds: dict[int, str]) -> None:
    by_kind: dict[str, list[int]] = {}
    for position, kind in kinds.items():
        by_kind.setdefault(kind, []).append(position)
    samples = Sample.objects.filter(evaluation=evaluation)
    with transaction.atomic():
        samples.exclude(overlap="").update(overlap="")
        for kind, positions in by_kind.items():
            for some in batched(sorted(positions), 500):
                samples.filter(position__in=some).update(overlap=kind)
        Evaluation.objects.filter(pk=evaluation.pk).update(overlap=facts)
    evaluation.overlap = facts
