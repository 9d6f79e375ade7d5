"""Tags and the archive: how people keep their lists in order."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from runs.models import Run, Tag
from runs.services import Actor, audit
from runs.states import ALIVE
from tunix_site.errors import ConflictError, InvalidInputError

MOST_TAGS = 50
# A search means something else by these.
NO_TAGS = frozenset({"none", "any"})


def read_tags(text: str) -> list[str]:
    """Read tags between commas or spaces, each once.

    Raises:
        InvalidInputError: naming the one that is no tag, or that there is none.
    """
    names = check_tags(text.replace(",", " ").split())
    if not names:
        raise InvalidInputError("Write the tags first, for example: baseline, lr-sweep.")
    return names


def check_tags(names: Iterable[str]) -> list[str]:
    """Make sure that each is a tag; give each once, in its first spelling.

    Raises:
        InvalidInputError: naming the one that is none.
    """
    spelt: dict[str, str] = {}
    for name in (name.strip() for name in names):
        spelt.setdefault(name.lower(), name)
    found = list(spelt.values())
    check = Tag._meta.get_field("name")
    for name in found:
        try:
            check.run_validators(name)
        except ValidationError as error:
            raise InvalidInputError(f"{name[:60]!r} is no tag.", hint=" ".join(error.messages)) from error
        if not name:
            raise InvalidInputError("A tag has at least one letter.")
        if name.lower() in NO_TAGS:
            raise InvalidInputError(f"No tag is called {name}: a search means something else by it.")
    return found


def tags_of(run: Run) -> list[str]:
    """List a run's tags by name; no query where they came with the run."""
    text = run.__dict__.get("tag_text", "")
    return (
        sorted((text or "").split()) if "tag_text" in run.__dict__ else [tag.name for tag in run.tags.all()]
    )


@transaction.atomic
def change_tags(run: Run, *, add: Iterable[str] = (), remove: Iterable[str] = (), actor: Actor = None) -> Run:
    """Put tags on a run and take others off; a tag that no run has any more is gone.

    Names are the same whatever their case: the first spelling stays.

    Raises:
        InvalidInputError: for a text that is no tag, or more tags than a run may have.
    """
    added, removed = check_tags(add), check_tags(remove)
    there = {tag.name.lower(): tag for tag in run.tags.all()}
    gone = [there[name.lower()] for name in removed if name.lower() in there]
    new = [name for name in added if name.lower() not in there]
    if len(there) - len(gone) + len(new) > MOST_TAGS:
        raise InvalidInputError(f"Run {run.pk} would have more than {MOST_TAGS} tags.")
    run.tags.add(*[tag_named(name) for name in new])
    run.tags.remove(*gone)
    Tag.objects.filter(pk__in=[tag.pk for tag in gone], runs=None).delete()
    if new:
        audit(run, "tagged", actor, tags=new)
    if gone:
        audit(run, "untagged", actor, tags=[tag.name for tag in gone])
    return run


def tag_named(name: str) -> Tag:
    """Give the tag of a name, whatever its case; a new one where there is none."""
    return Tag.objects.filter(name__iexact=name).first() or Tag.objects.get_or_create(name=name)[0]


def archive(run: Run, *, actor: Actor = None) -> Run:
    """Hide a run from lists; nothing of it is deleted.

    Raises:
        ConflictError: while it waits or works, for what is at work must be seen.
    """
    with transaction.atomic():
        rows = Run.objects.filter(pk=run.pk, archived_at=None).exclude(status__in=ALIVE)
        changed = rows.update(archived_at=timezone.now())
        if changed:
            audit(run, "archived", actor)
    run.refresh_from_db()
    if not changed and run.archived_at is None:
        raise ConflictError(f"Run {run.pk} is {run.status}.", hint="Stop it first, then archive.")
    return run


def unarchive(run: Run, *, actor: Actor = None) -> Run:
    """Show an archived run in lists again."""
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, archived_at__isnull=False).update(archived_at=None):
            audit(run, "unarchived", actor)
    run.refresh_from_db()
    return run
