"""What the verbs of `runs.verbs` do: call the service, and say what came of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runs import checkpointing, queueing, services
from runs.deleting import delete_run
from runs.devices import resolve_device
from runs.evaluations.asking import Wanted, make_evaluation
from runs.forking import clone_run, fork_run
from runs.listing import organising
from runs.models import Run
from runs.selectors import find_checkpoint
from runs.services import Actor, audit
from runs.templatetags.run_format import size


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a verb: the run to look at next (None: it is gone), in words, and bytes freed."""

    run: Run | None
    text: str
    freed_bytes: int | None = None


def start(run: Run, *, actor: Actor) -> Outcome:
    """Put a draft into the queue."""
    return _state(services.start_draft(run, actor=actor))


def stop(run: Run, *, actor: Actor) -> Outcome:
    """Ask a run to stop, with a checkpoint."""
    return _state(services.request_stop(run, actor=actor))


def stop_now(run: Run, *, actor: Actor) -> Outcome:
    """End a run by force."""
    return _state(services.request_stop(run, actor=actor, now=True))


def resume(run: Run, *, actor: Actor, allow_inexact: bool = False) -> Outcome:
    """Take an interrupted training or evaluation up."""
    return _state(services.resume_run(run, actor=actor, allow_inexact=allow_inexact))


def resume_inexact(run: Run, *, actor: Actor) -> Outcome:
    """Take an interrupted training up, also where that does not give the same bits."""
    return resume(run, actor=actor, allow_inexact=True)


def requeue(run: Run, *, actor: Actor) -> Outcome:
    """Queue an interrupted run again, or hand a waiting one out anew."""
    return _state(services.requeue_run(run, actor=actor))


def mark_stopped(run: Run, *, actor: Actor) -> Outcome:
    """Call a run stopped whose process cannot be reached."""
    return _state(services.mark_stopped(run, actor=actor))


def clone(run: Run, *, actor: Actor, changes: Mapping[str, Any] | None = None, name: str = "") -> Outcome:
    """Write a draft with its recipe."""
    made = clone_run(run, changes=changes, name=name, actor=actor)
    audit(run, "cloned", actor, made=made.pk)
    return Outcome(made, f"Run {made.pk} is a draft with the recipe of run {run.pk}.")


def fork(
    run: Run,
    *,
    actor: Actor,
    step: int,
    changes: Mapping[str, Any] | None = None,
    name: str = "",
    start: bool = True,
    origin: str = "",
) -> Outcome:
    """Write a run that goes on from one of its checkpoints, and queue it where ``start`` says so."""
    made = fork_run(run, step=step, changes=changes or {}, name=name, actor=actor, origin=origin)
    audit(run, "forked", actor, made=made.pk, step=step)
    if start:
        services.enqueue_run(made, actor=actor)
    return Outcome(made, f"Run {made.pk} goes on from step {step} of run {run.pk}; it is {made.status}.")


def evaluate(
    run: Run,
    *,
    actor: Actor,
    device: str | None = None,
    device_index: int | None = None,
    origin: str = "",
    **wanted: Any,
) -> Outcome:
    """Queue a run that grades one of its checkpoints; ``wanted`` are fields of `Wanted`."""
    asked = device or device_index is not None
    made = make_evaluation(
        run,
        Wanted(**wanted),
        choose_device=(lambda: resolve_device(kind=device, index=device_index)) if asked else None,
        origin=origin,
        actor=actor,
    )
    services.enqueue_run(made, actor=actor)
    step, data = made.params["step"], made.dataset.key if made.dataset else ""
    text = f"Run {made.pk} grades step {step} of run {run.pk} on {made.total_steps} prompts of {data}."
    return Outcome(made, text)


def delete(run: Run, *, actor: Actor) -> Outcome:
    """Delete it for good."""
    number, freed = run.pk, delete_run(run, actor=actor)
    return Outcome(None, f"Run {number} is deleted; {size(freed)} are free.", freed)


def pin(run: Run, *, actor: Actor, step: int) -> Outcome:
    """Keep a checkpoint."""
    return _set_pin(run, actor, step, pinned=True)


def unpin(run: Run, *, actor: Actor, step: int) -> Outcome:
    """Let a checkpoint go."""
    return _set_pin(run, actor, step, pinned=False)


def _set_pin(run: Run, actor: Actor, step: int, *, pinned: bool) -> Outcome:
    checkpointing.pin(find_checkpoint(run=run, which=str(step)), pinned=pinned, actor=actor)
    return Outcome(run, f"Step {step} of run {run.pk} is {'pinned' if pinned else 'unpinned'}.")


def move(run: Run, *, actor: Actor, where: queueing.Where) -> Outcome:
    """Move it within the queue."""
    queueing.move(run, where, actor=actor)
    place = [row.pk for row in queueing.waiting_runs().only("pk")].index(run.pk) + 1
    return Outcome(run, f"Run {run.pk} is number {place} in the queue.")


def set_priority(run: Run, *, actor: Actor, priority: int) -> Outcome:
    """Give it another priority."""
    queueing.set_priority(run, priority, actor=actor)
    return Outcome(run, f"Run {run.pk} has priority {priority}.")


def tag(run: Run, *, actor: Actor, tags: Iterable[str]) -> Outcome:
    """Put tags on it."""
    names = list(tags)
    organising.change_tags(run, add=names, actor=actor)
    return Outcome(run, f"Run {run.pk} has the tags {', '.join(names)}.")


def untag(run: Run, *, actor: Actor, tags: Iterable[str]) -> Outcome:
    """Take tags off it."""
    names = list(tags)
    organising.change_tags(run, remove=names, actor=actor)
    return Outcome(run, f"Run {run.pk} no longer has the tags {', '.join(names)}.")


def archive(run: Run, *, actor: Actor) -> Outcome:
    """Hide it from lists."""
    return Outcome(organising.archive(run, actor=actor), f"Run {run.pk} is archived.")


def unarchive(run: Run, *, actor: Actor) -> Outcome:
    """Show it in lists again."""
    return Outcome(organising.unarchive(run, actor=actor), f"Run {run.pk} is in the list again.")


def _state(run: Run) -> Outcome:
    return Outcome(run, f"Run {run.pk} is {run.status}.")
