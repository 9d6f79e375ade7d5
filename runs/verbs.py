"""What can be done to a run: one table, from which admin, pages, API and commands are made.

A verb says who may use it, where it fits and what it asks for; `perform` does it. No other place
holds a list of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from runs import doing
from runs.deleting import DELETABLE
from runs.doing import Outcome
from runs.evaluations.asking import WANTED_FIELDS
from runs.models import Run
from runs.services import FOREGROUND, Actor
from runs.states import ALIVE, INTERRUPTED, RESUMABLE, SUPERVISED, Kind, Status
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.roles import ScopeName, covers

EVERY_STATE: Final = frozenset(Status)
EVERY_KIND: Final = frozenset(Kind)
# A history of another tool was carried out elsewhere: here it can be looked at and deleted.
CARRIED_OUT_HERE: Final = EVERY_KIND - {Kind.IMPORTED}
TRAINING: Final = frozenset({Kind.TRAIN})
# What costs little may be done to this many runs in one go.
MANY: Final = 2000
STARTABLE: Final = frozenset({Kind.TRAIN, Kind.BENCH})


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done to a run.

    ``states`` and ``kinds`` say where it fits, ``fits_too`` what else must hold for pages to offer
    it. ``loses`` says what is lost: where it is not empty, people are asked first; ``final``:
    in a shell too. ``takes`` names the arguments of ``does``, ``needs`` those that must be there.
    ``of_checkpoint``: it is about one checkpoint and offered beside it; ``for_many``: offered for
    many runs at once, at most ``most``.
    """

    name: str
    label: str
    about: str
    scope: ScopeName
    does: Callable[..., Outcome]
    states: frozenset[Status] = EVERY_STATE
    kinds: frozenset[Kind] = CARRIED_OUT_HERE
    fits_too: Callable[[Run], bool] | None = None
    loses: str = ""
    final: bool = False
    primary: bool = False
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    of_checkpoint: bool = False
    for_many: bool = False
    most: int = 200

    @property
    def is_dangerous(self) -> bool:
        """Whether people are asked before it is done."""
        return bool(self.loses)

    @property
    def picks_checkpoint(self) -> bool:
        """Whether it takes any checkpoint, so that it is offered beside each, too."""
        return "checkpoint" in self.takes

    @property
    def word(self) -> str:
        """How commands spell it."""
        return self.name.replace("_", "-")

    @property
    def short(self) -> str:
        """Label where many runs in many states are chosen."""
        return self.name.replace("_", " ").capitalize()

    def label_for(self, run: Run) -> str:
        """Give the label for a run as it stands."""
        if self.name != "stop":
            return self.label
        if run.status == Status.QUEUED:
            return "Take out of the queue"
        return self.label if run.kind == Kind.TRAIN else "Stop"

    def fits(self, run: Run) -> bool:
        """Tell whether it can be done to the run as it stands."""
        here = run.status in self.states and run.kind in self.kinds
        return here and (self.fits_too is None or self.fits_too(run))


def _waits_its_turn(run: Run) -> bool:
    return not run.assigned_to


def _begins_again_or_waits_for_a_time(run: Run) -> bool:
    """What can resume offers that; a queued run is handed out anew only where that changes something."""
    if run.status == Status.QUEUED:
        return run.assigned_to != FOREGROUND and bool(run.assigned_to or run.not_before)
    return run.kind not in RESUMABLE


VERBS: Final[dict[str, Verb]] = {
    verb.name: verb
    for verb in (
        Verb(
            "start",
            "Start",
            "put a draft into the queue",
            "operate",
            doing.start,
            states=frozenset({Status.DRAFT}),
            primary=True,
            for_many=True,
        ),
        Verb(
            "resume",
            "Resume",
            "take up an interrupted training from its newest sound checkpoint, an evaluation after its texts",
            "operate",
            doing.resume,
            states=INTERRUPTED,
            kinds=RESUMABLE,
            primary=True,
            takes=("allow_inexact",),
            for_many=True,
        ),
        Verb(
            "resume_inexact",
            "Resume, not exact",
            "resume also where that does not give the same bits",
            "operate",
            doing.resume_inexact,
            states=INTERRUPTED,
            kinds=TRAINING,
            fits_too=lambda run: "--allow-inexact" in run.reason,
        ),
        Verb(
            "requeue",
            "Requeue",
            "queue an interrupted run of any kind again, or let a waiting one be handed out anew",
            "operate",
            doing.requeue,
            states=INTERRUPTED | {Status.QUEUED},
            fits_too=_begins_again_or_waits_for_a_time,
            for_many=True,
        ),
        Verb(
            "stop",
            "Stop with a checkpoint",
            "stop a run: a training writes a checkpoint first, a waiting one leaves the queue",
            "operate",
            doing.stop,
            states=frozenset({Status.QUEUED, Status.STARTING, Status.RUNNING}),
            for_many=True,
        ),
        Verb(
            "stop_now",
            "Stop now",
            "stop a run by force, without a checkpoint",
            "operate",
            doing.stop_now,
            states=SUPERVISED,
            fits_too=lambda run: not run.stop_now,
            loses="What came after the newest checkpoint is lost.",
            for_many=True,
        ),
        Verb(
            "fork",
            "Fork",
            "start a new run from a checkpoint, with some fields of the recipe changed",
            "operate",
            doing.fork,
            kinds=TRAINING,
            takes=("step", "changes", "name", "start", "origin"),
            needs=("step",),
            of_checkpoint=True,
        ),
        Verb(
            "clone",
            "Clone",
            "write a new draft with the same recipe, or with some fields changed",
            "operate",
            doing.clone,
            kinds=STARTABLE,
            takes=("changes", "name"),
        ),
        Verb(
            "evaluate",
            "Evaluate",
            "grade the newest checkpoint on held-out traces, or another one as asked",
            "operate",
            doing.evaluate,
            kinds=TRAINING,
            fits_too=lambda run: run.checkpoint_bytes > 0,
            takes=(*WANTED_FIELDS, "device", "device_index", "origin"),
            for_many=True,
        ),
        Verb(
            "move",
            "Move",
            "move a waiting run within the queue: first, up, down or last",
            "operate",
            doing.move,
            states=frozenset({Status.QUEUED}),
            fits_too=_waits_its_turn,
            takes=("where",),
            needs=("where",),
        ),
        Verb(
            "priority",
            "Set priority",
            "let a run go before those of lower priority",
            "operate",
            doing.set_priority,
            states=frozenset({Status.DRAFT, Status.QUEUED}),
            takes=("priority",),
            needs=("priority",),
        ),
        Verb(
            "pin",
            "Pin",
            "keep a checkpoint whatever the retention says",
            "operate",
            doing.pin,
            kinds=TRAINING,
            takes=("step",),
            needs=("step",),
            of_checkpoint=True,
        ),
        Verb(
            "unpin",
            "Unpin",
            "let the retention remove a checkpoint again",
            "operate",
            doing.unpin,
            kinds=TRAINING,
            takes=("step",),
            needs=("step",),
            of_checkpoint=True,
        ),
        Verb(
            "tag",
            "Tag",
            "put tags on a run, to find it by",
            "operate",
            doing.tag,
            takes=("tags",),
            needs=("tags",),
            for_many=True,
            most=MANY,
        ),
        Verb(
            "untag",
            "Untag",
            "take tags off a run",
            "operate",
            doing.untag,
            takes=("tags",),
            needs=("tags",),
            for_many=True,
            most=MANY,
        ),
        Verb(
            "archive",
            "Archive",
            "hide a run from lists; everything of it stays",
            "operate",
            doing.archive,
            states=EVERY_STATE - ALIVE,
            fits_too=lambda run: run.archived_at is None,
            for_many=True,
            most=MANY,
        ),
        Verb(
            "unarchive",
            "Unarchive",
            "show an archived run in lists again",
            "operate",
            doing.unarchive,
            fits_too=lambda run: run.archived_at is not None,
            for_many=True,
            most=MANY,
        ),
        Verb(
            "mark_stopped",
            "Mark as stopped",
            "call a run stopped whose process cannot be reached, and free its device",
            "admin",
            doing.mark_stopped,
            states=SUPERVISED | {Status.LOST},
            loses=(
                "Its device is free at once. A process of it that still works ends itself when it next "
                "looks; until then two trainings may share the device."
            ),
            for_many=True,
        ),
        Verb(
            "delete",
            "Delete",
            "delete a run for good, with its evaluations, curves, checkpoints and logs",
            "admin",
            doing.delete,
            states=DELETABLE,
            kinds=EVERY_KIND,
            loses=(
                "Its curves, samples, checkpoints, logs and profiles are gone for good, and so are the "
                "evaluations and generations made from it."
            ),
            final=True,
            for_many=True,
        ),
    )
}


def verb_named(name: str) -> Verb:
    """Find a verb, in either spelling.

    Raises:
        NotFoundError: naming those that there are.
    """
    verb = VERBS.get(name.replace("-", "_"))
    if verb is None:
        raise NotFoundError(f"There is no verb {name[:40]!r}.", hint=f"There are: {', '.join(VERBS)}.")
    return verb


def offered(run: Run, *, scope: ScopeName | None) -> list[Verb]:
    """List what a holder of ``scope`` can do to the run as it stands, checkpoints aside."""
    return [
        verb
        for verb in VERBS.values()
        if not verb.of_checkpoint and covers(scope, verb.scope) and verb.fits(run)
    ]


def perform(verb: Verb, run: Run, *, actor: Actor = None, **arguments: Any) -> Outcome:
    """Do it. Whether ``actor`` may is for the caller to check, against ``verb.scope``.

    Raises:
        ConflictError: where it does not fit the run's kind or state.
        InvalidInputError: for an argument that is missing or not allowed.
        NotFoundError: where the run was deleted meanwhile, or has no such checkpoint.
    """
    if unknown := sorted(arguments.keys() - set(verb.takes)):
        raise InvalidInputError(f"{verb.word} takes no {', '.join(unknown)}.")
    if missing := [name for name in verb.needs if arguments.get(name) is None]:
        raise InvalidInputError(f"{verb.word} needs {', '.join(missing)}.")
    if run.kind not in verb.kinds:
        kinds = " or a ".join(kind.label for kind in Kind if kind in verb.kinds)
        raise ConflictError(
            f"Run {run.pk} ({run.get_kind_display()}) is {run.status}; "
            f"only a {kinds} can be asked to {verb.word}."
        )
    try:
        return verb.does(run, actor=actor, **arguments)
    except Run.DoesNotExist as error:
        raise NotFoundError(f"Run {run.pk} was deleted meanwhile.") from error
