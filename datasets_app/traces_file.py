"""``traces.jsonl`` and the facts of a content, made while its traces go into the database."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from django.db import connection

from datasets_app.facts import FactsCollector
from datasets_app.formats import line_of, trace
from datasets_app.fresh_file import FreshFile
from datasets_app.publishing import Member
from datasets_app.selectors import MemberTrace

_sorted = msgspec.json.Encoder(order="deterministic").encode


class TracesFile:
    """Saves reading everything again after it was written.

    It is a convenience: where the disk refuses a line, or the database may give a trace back in
    another form, it gives up (`is_whole` turns false), and the files are made from the database.
    """

    def __init__(self, folder: Path) -> None:
        self.collector = FactsCollector()
        self._folder = folder
        self._file: FreshFile | None = None
        self.is_whole = True

    def add_new(self, members: Sequence[Member]) -> None:
        """Take in traces as they go into the database."""
        for member in members:
            if member.meta and connection.vendor != "sqlite":
                self._give_up()  # jsonb has its own order of names and its own way to write numbers
            if not self.is_whole:
                return
            self.add(_stored(member))

    def add(self, member: MemberTrace) -> None:
        """Take in the next trace, as the database gives it."""
        if not self.is_whole:
            return
        self.collector.add(member)
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = FreshFile(self._folder)
            self._file.add(line_of(trace.write(member)))
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        self.is_whole = False
        self.discard()

    def put_in_place(self, path: Path) -> dict[str, Any]:
        """Move the file to where it belongs; gives digest, bytes and lines.

        Raises:
            OSError: if the disk refuses.
        """
        if self._file is None:
            raise FileNotFoundError(f"nothing was written for {path}")
        return self._file.put_in_place(path)

    def discard(self) -> None:
        """Remove what was not put in place."""
        if self._file is not None:
            with suppress(OSError):
                self._file.discard()


def _stored(member: Member) -> MemberTrace:
    """Give a trace as it will be read back; its position is not part of its line."""
    record = member.record
    return MemberTrace(
        position=0,
        split=member.split,
        content_hash=member.content_hash,
        prompt=record.prompt,
        steps=tuple([step.content for step in record.steps]),
        final_answer=record.final_answer,
        family=member.family,
        step_records=record.steps,
        source=member.source,
        licence=member.licence,
        meta=msgspec.json.decode(_sorted(member.meta)) if member.meta else {},
    )
