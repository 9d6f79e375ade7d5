"""Trainings that can be asked, questions, and a writer that writes what a test wants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.models import Attempt, Generation, Run
from runs.playground.asking import ask, find_columns, read_question
from runs.playground.serving import Server
from runs.states import Status
from runs.tests.control_support import checkpoint_row
from runs.tests.support import claim, journal, release_device, run_in

CHAIN = "7+3*2-4+1*9+5-8+2"


def trained(root: Path, *steps: int, **changes: Any) -> Run:
    """A completed training with checkpoints on the disk."""
    run = run_in(Status.COMPLETED, **changes)
    release_device()
    for step in steps or (10,):
        checkpoint_row(run, root / str(run.pk), step)
    return run


def asked(
    run: Run, prompt: str = "7+3", *, actor: Any = None, beside: str = "", **decoding: Any
) -> Generation:
    """Ask the newest checkpoint; gives the first generation."""
    columns = find_columns(run, checkpoint="latest", beside_checkpoint=beside)
    return ask(read_question(prompt=prompt, decoding=decoding), columns=columns, actor=actor)[0]


def put(run: Run, **facts: Any) -> Generation:
    """A generation as it would stand, its session completed."""
    made = Generation.objects.create(
        **{"run": run, "step": 10, "path": "/x/10", "prompt": "7+3", "decoding": {"seed": 0}, **facts}
    )
    return Generation.objects.get(pk=made.pk)


def session_run(row: Generation) -> Run:
    row.refresh_from_db()
    assert row.session is not None
    return Run.objects.get(pk=row.session_id or 0)


def claimed(row: Generation) -> Attempt:
    """Let the session of a generation have the device, as its supervisor does."""
    attempt = claim(session_run(row))
    assert attempt is not None
    return attempt


@dataclass
class Piece:
    text: str
    tokens: int = 1
    stopped_at_eos: bool = False


@dataclass
class Writer:
    """Writes ``pieces`` one after the other, each the whole text so far; ``between`` runs before each."""

    pieces: Sequence[str] = ("7+3", "7+3=0\n", "7+3=0\n#0")
    between: Callable[[int], Any] = lambda _: None
    error: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def write(self, *, should_stop: Callable[[], bool], on_text: Callable[[Any], None], **asked: Any) -> Any:
        self.asked.append(asked)
        if self.error:
            raise self.error
        for number, text in enumerate(self.pieces):
            self.between(number)
            if should_stop():
                return None
            on_text(Piece(text, number + 1))
        return Piece(self.pieces[-1], len(self.pieces) + 1, True)


def server(row: Generation, writer: Writer) -> Server:
    """The child's side of a generation's session, at work."""
    attempt = claimed(row)
    return Server(attempt.run, attempt, journal(attempt), writer)
