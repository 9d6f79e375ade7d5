"""One import under way: read, write unseen, publish at once."""

import hashlib
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from django.utils import timezone

from datasets_app import bulk
from datasets_app.imports.ahead import read_ahead
from datasets_app.imports.errors import CANCELLED, CancelledError, RefusedLinesError, UnfitFileError
from datasets_app.imports.limits import Limits
from datasets_app.imports.outcome import Outcome, Watch
from datasets_app.imports.reader import FileReader, Preview
from datasets_app.imports.rejects import Refusal, Rejects, folder_of
from datasets_app.imports.request import ImportRequest
from datasets_app.models import Import
from datasets_app.publishing import Draft, Member, Unpublished, discard, newest_of_key
from datasets_app.selectors import member_traces, split_overlap
from datasets_app.services import finish
from datasets_app.traces import SPLIT_RULE
from datasets_app.traces_file import TracesFile

FIRST_BATCH, LARGEST_BATCH, SMALLEST_BATCH = 2000, 10_000, 200
HEAVIEST_BATCH = 32 << 20
QUICK, SLOW = 0.2, 0.5
TOLD_EVERY = 0.5


class Work:
    """One import under way."""

    def __init__(self, row: Import, path: Path, watch: Watch) -> None:
        self.row = row
        self.request = ImportRequest.model_validate(row.request)
        self.watch = watch
        self.outcome = Outcome(None)
        self.reader = FileReader(path, name=row.file_name, request=self.request, limits=Limits.of_settings())
        self.base = newest_of_key(self.request.key)
        self.unpublished: Unpublished | None = None
        self.file = TracesFile(folder_of(row.pk))
        self.batch: list[Member] = []
        self.weight = 0
        self.batch_size = FIRST_BATCH
        self.told_at = 0.0
        self.spoilt = False

    @property
    def format_name(self) -> str:
        """The format it is read as; empty while that is not known."""
        return self.reader.format.NAME if self.reader.format else ""

    def run(self) -> Outcome:
        """Do all of it.

        Raises:
            UserError: if it cannot be done; what was written is removed again, unless it was published.
        """
        started = time.monotonic()
        outcome = self.outcome
        try:
            with bulk.tuned(), Rejects(folder_of(self.row.pk)) as rejects:
                self._read(rejects)
                outcome.refused, outcome.first_refused = rejects.count, rejects.first
                outcome.rejects, outcome.notes = rejects.path, list(self.reader.notes)
            self._settle()
        except BaseException:
            if self.unpublished is not None:
                discard(self.unpublished.dataset)
            raise
        finally:
            self.file.discard()
        outcome.seconds = time.monotonic() - started
        return outcome

    def _read(self, rejects: Rejects) -> None:
        with closing(read_ahead(self.reader.outcomes(), weigh=_weight)) as outcomes:
            for one in outcomes:
                self._take(one, rejects)
        self._write()

    def _take(self, one: Preview | Member | Refusal, rejects: Rejects) -> None:
        if isinstance(one, Member):
            if self.spoilt:
                self._tell()
                return
            self.batch.append(one)
            self.weight += _weight(one)
            if len(self.batch) >= self.batch_size or self.weight >= HEAVIEST_BATCH:
                self._write()
        elif isinstance(one, Preview):
            self.watch.previewed(one)
        else:
            rejects.add(one)
            self.outcome.refused = rejects.count
            if not self.request.keep_going and not self.spoilt:
                self.spoilt = True
                self.batch.clear()
            if rejects.count % 1000 == 0:
                self._tell()

    def _write(self) -> None:
        """Write the waiting traces; batches shrink where the database is slow, so that no lock lasts."""
        batch, self.batch, self.weight = self.batch, [], 0
        if self.base is not None and batch:
            held = bulk.held_by(dataset_id=self.base.pk, hashes=[one.content_hash for one in batch])
            fresh = [one for one in batch if (one.split, one.content_hash) not in held]
            self.outcome.existing += len(batch) - len(fresh)
            batch = fresh
        if batch:
            unpublished = self.unpublished or self._begin()
            began = time.monotonic()
            unpublished.add(batch)
            took = time.monotonic() - began
            self.file.add_new(batch)
            if took > SLOW:
                self.batch_size = max(SMALLEST_BATCH, self.batch_size // 2)
            elif took < QUICK:
                self.batch_size = min(LARGEST_BATCH, self.batch_size * 2)
            self.outcome.imported += len(batch)
        self._tell()

    def _begin(self) -> Unpublished:
        request, base = self.request, self.base
        unpublished = Unpublished.begin(
            Draft(
                key=request.key,
                recipe={},
                description=f"imported from {self.row.file_name}"[:500],
                source=request.source or (base.source if base else ""),
                licence=request.licence or (base.licence if base else ""),
            )
        )
        self.unpublished = unpublished
        Import.objects.filter(pk=self.row.pk).update(unpublished=unpublished.dataset)
        if base is not None:
            for _ in unpublished.add_all_of(base):
                self._tell()
            for member in member_traces(dataset=base):
                self.file.add(member)
        return unpublished

    def _settle(self) -> None:
        outcome = self.outcome
        if outcome.refused and not self.request.keep_going:
            raise RefusedLinesError(
                f"{outcome.refused} of {self.reader.rows} records of {self.row.file_name} were refused, "
                f"so nothing was changed. {_some(outcome)}",
                hint=f"All of them: {outcome.rejects}. To take the others: --keep-going.",
            )
        if self.unpublished is None:
            if not outcome.existing:
                raise UnfitFileError(f"No record of {self.row.file_name} could be taken. {_some(outcome)}")
            outcome.dataset = self.base
            self.watch.counted(outcome)
            return
        self.watch.counted(outcome)
        self._tell(now=True)
        self.unpublished.dataset.recipe = self._recipe()
        result = self.unpublished.publish(parent=self.base, only_if_newest=True)
        outcome.dataset, outcome.created = result.dataset, result.created
        finish(result, self.file)
        if self.request.split and result.dataset.train_count and result.dataset.test_count:
            outcome.overlap = split_overlap(dataset=result.dataset)
        if outcome.overlap:
            outcome.notes.append(
                f"{outcome.overlap} prompts stand on both sides of the split; they were left where they are."
            )

    def _recipe(self) -> dict[str, Any]:
        with self.reader.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "kind": "import",
            "file": self.row.file_name,
            "sha256": digest,
            "container": self.reader.container,
            "format": self.format_name,
            "mapping": self.request.mapping,
            "solve": self.request.solve,
            "split": self.request.split or f"the line's own, else {SPLIT_RULE}",
            "refused": self.outcome.refused,
            "added_to": self.base.content_hash if self.base else None,
        }

    def _tell(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self.told_at < TOLD_EVERY:
            return
        self.told_at = moment
        done, outcome = self.reader.bytes_read, self.outcome
        rows = Import.objects.filter(pk=self.row.pk)
        rows.update(
            heartbeat_at=timezone.now(),
            bytes_done=done,
            imported=outcome.imported,
            existing=outcome.existing,
            refused=outcome.refused,
            format=self.format_name,
        )
        self.watch.progressed(done, outcome)
        if rows.filter(cancel_asked=True).exists():
            raise CancelledError(CANCELLED)


def _weight(one: Preview | Member | Refusal) -> int:
    """Tell about how much memory something that was read takes."""
    if isinstance(one, Member):
        return len(one.record.prompt) + sum([len(step.content) for step in one.record.steps])
    return len(one.raw) if isinstance(one, Refusal) else 0


def _some(outcome: Outcome) -> str:
    named = "; ".join(str(refusal) for refusal in outcome.first_refused)
    more = outcome.refused - len(outcome.first_refused)
    return f"{named}{f'; and {more} more.' if more > 0 else ''}".strip()
