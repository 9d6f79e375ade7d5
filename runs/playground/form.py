"""The form of the playground: what it begins with, and what a person filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from django.conf import settings
from django.http import QueryDict

from datasets_app.selectors import MemberTrace
from runs.models import Checkpoint, Generation, Run
from runs.playground.asking import DEFAULT_LENGTH, FIELDS, Question, find_columns, read_question
from runs.selectors import get_run, live_checkpoints
from training.decoding import Decoding
from tunix_site.errors import InvalidInputError

OFFERED = 200
LONGEST_NUMBER = 19


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of decoding as the form asks for it."""

    name: str
    label: str
    value: str
    about: str


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form; text as people write it."""

    prompt: str = ""
    checkpoint: str = "latest"
    beside_run: str = ""
    beside_checkpoint: str = ""
    expected_answer: str = ""
    trace_hash: str = ""
    decoding: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: QueryDict) -> Self:
        """Take what was filled in; line ends are those that models know."""

        def text(name: str, default: str = "") -> str:
            return given.get(name, default).replace("\r\n", "\n")

        return cls(
            prompt=text("prompt"),
            checkpoint=text("checkpoint", "latest").strip(),
            beside_run=text("beside_run").strip(),
            beside_checkpoint=text("beside_checkpoint").strip(),
            expected_answer=text("expected_answer"),
            trace_hash=text("trace_hash").strip(),
            decoding={name: text(name).strip() for name in FIELDS if given.get(name, "").strip()},
        )

    @classmethod
    def of(cls, first: Generation, partner: Generation | None) -> Self:
        """Ask the same again."""
        # What the task itself tells is worked out again.
        worked_out = bool(first.expected_steps) and not first.trace_hash
        return cls(
            prompt=first.prompt,
            checkpoint=str(first.step),
            beside_run=str(partner.run_id) if partner and partner.run_id != first.run_id else "",
            beside_checkpoint=str(partner.step) if partner else "",
            expected_answer="" if worked_out else first.expected_answer or "",
            trace_hash=first.trace_hash,
            decoding={name: str(first.decoding[name]) for name in FIELDS if name in first.decoding},
        )

    def with_trace(self, trace: MemberTrace) -> Self:
        """Put a held-out prompt in."""
        return replace(
            self, prompt=trace.prompt, expected_answer=trace.final_answer, trace_hash=trace.content_hash
        )

    @property
    def settings(self) -> list[Setting]:
        """The settings of decoding, in order."""
        defaults: dict[str, Any] = {name: Decoding.model_fields[name].default for name in FIELDS}
        defaults["max_new_tokens"] = min(DEFAULT_LENGTH, settings.TUNIX_PLAYGROUND_LENGTH)
        return [
            Setting(
                name,
                name.replace("_", " ").capitalize().replace("Top ", "Top-"),
                self.decoding.get(name, f"{defaults[name]:g}"),
                Decoding.model_fields[name].description or "",
            )
            for name in FIELDS
        ]

    def question(self) -> Question:
        """Check the question.

        Raises:
            InvalidInputError: naming the field.
        """
        answer = self.expected_answer.strip("\n")
        return read_question(
            prompt=self.prompt,
            decoding=self.decoding,
            answer=answer if answer.strip() else None,
            trace_hash=self.trace_hash,
        )

    def columns(self, run: Run) -> list[Checkpoint]:
        """Find the checkpoints that are asked.

        Raises:
            UserError: where there is none like it.
        """
        other = self.beside_run
        if other and not (other.isascii() and other.isdecimal() and len(other) < LONGEST_NUMBER):
            raise InvalidInputError(f"Run beside it: {other[:40]!r} is not the number of a run.")
        return find_columns(
            run,
            checkpoint=self.checkpoint,
            beside_run=get_run(run_id=other) if other else None,
            beside_checkpoint=self.beside_checkpoint,
        )


def offered_checkpoints(run: Run) -> list[Checkpoint]:
    """List the checkpoints of a run that can be asked, the newest first."""
    return [row for row in live_checkpoints(run=run)[:OFFERED] if row.on_disk]
