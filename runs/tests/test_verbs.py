"""The table of verbs: who may use which, on every surface, and the audit line that each leaves."""

from pathlib import Path

import pytest

from runs.listing.organising import archive, change_tags
from runs.models import Run
from runs.states import Kind, Status
from runs.tests.control_support import checkpoint_row, queued
from runs.tests.support import fresh, make_dataset, make_run, release_device, run_in
from runs.verbs import VERBS, Verb, offered, perform, verb_named
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.models import AuditEvent
from tunix_site.roles import covers

pytestmark = pytest.mark.django_db

ROOT = "/api/training/runs"
ROLES = {"viewer": "read", "operator": "operate", "admin": "admin"}
ARGUMENTS = {"step": 5, "where": "first", "priority": 3, "tags": ["kept"]}
# What can be done to a run in any state.
TAGGING = {"tag", "untag"}
# What a verb writes into the record of the run that it is done to.
LINES = {
    "start": "run.queued",
    "resume": "run.queued",
    "resume_inexact": "run.queued",
    "requeue": "run.queued",
    "stop": "run.stop",
    "stop_now": "run.stop_now",
    "fork": "run.forked",
    "evaluate": "run.evaluation_asked",
    "clone": "run.cloned",
    "move": "run.moved",
    "priority": "run.priority",
    "pin": "checkpoint.pinned",
    "unpin": "checkpoint.unpinned",
    "tag": "run.tagged",
    "untag": "run.untagged",
    "archive": "run.archived",
    "unarchive": "run.unarchived",
    "mark_stopped": "run.marked_stopped",
    "delete": "run.deleted",
}


def fitting_run(verb: Verb) -> Run:
    """A run to which the verb can be done, with a checkpoint of step 5 where it is about one."""
    if verb.of_checkpoint or verb.picks_checkpoint:
        run = run_in(Status.COMPLETED, config={"steps": 20}, dataset=make_dataset())
        checkpoint_row(run, Path(run.checkpoint_dir), 5)
        return run
    if verb.name == "untag":
        return change_tags(make_run(), add=["kept"])
    if verb.name == "unarchive":
        return archive(make_run())
    if Status.DRAFT in verb.states and verb.name != "delete":
        return make_run()
    if verb.name == "move":
        return queued()
    states = [Status.RUNNING, Status.LOST, Status.STOPPED, Status.QUEUED]
    run = run_in(next(status for status in states if status in verb.states))
    if verb.name == "resume_inexact":
        Run.objects.filter(pk=run.pk).update(reason="Add --allow-inexact to go on.")
    return fresh(run)


def needed(verb: Verb) -> dict[str, object]:
    return {name: ARGUMENTS[name] for name in verb.needs}


def call_api(client, verb: Verb, run: Run, headers):
    """Ask for a verb by the API, where it has its route."""
    if verb.name == "delete":
        return client.delete(f"{ROOT}/{run.pk}", headers=headers)
    word, body = verb.name, needed(verb)
    if verb.takes == ("tags",):
        word, body = "tags", {"add" if verb.name == "tag" else "remove": body["tags"]}
    if verb.name == "resume_inexact":
        word, body = "resume", {"allow_inexact": True}
    elif verb.takes == ("step",):
        word, body = f"checkpoints/5/{verb.name}", {}
    return client.post(f"{ROOT}/{run.pk}/{word}", body, content_type="application/json", headers=headers)


def call_page(client, verb: Verb, run: Run):
    """Ask for a verb by the forms of the run's page."""
    if verb.name == "fork":
        return client.post(f"/runs/{run.pk}/fork/", {"step": "5"})
    if verb.of_checkpoint:
        return client.post(f"/runs/{run.pk}/checkpoints/{run.checkpoints.get().pk}/", {"action": verb.name})
    form = {name: str(value) for name, value in needed(verb).items()}
    form |= {"tags": "kept"} if "tags" in form else {}
    return client.post(f"/runs/{run.pk}/act/", {"action": verb.name, "confirmed": "1", **form})


def did(verb: Verb, run_id: int) -> bool:
    return AuditEvent.objects.filter(action=LINES[verb.name], target_id=str(run_id)).exists()


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("surface", ["api", "page"])
def test_each_role_may_do_what_the_table_says_and_nothing_else(
    client, make_user, token_headers, verb, role, surface
):
    run = fitting_run(verb)
    number = run.pk
    AuditEvent.objects.all().delete()
    if surface == "api":
        answer = call_api(client, verb, run, token_headers(ROLES[role]))
    else:
        client.force_login(make_user("someone", role))
        answer = call_page(client, verb, run)
    allowed = covers(ROLES[role], verb.scope)
    assert (answer.status_code == 403) == (not allowed)
    assert answer.status_code in {200, 201, 302, 403}
    assert did(verb, number) == allowed


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_each_verb_says_what_came_of_it_and_leaves_a_line_with_its_actor(verb, operator):
    run = fitting_run(verb)
    number = run.pk
    AuditEvent.objects.all().delete()
    outcome = perform(verb, run, actor=operator, **needed(verb))
    assert str(number) in outcome.text
    line = AuditEvent.objects.filter(action=LINES[verb.name], target_id=str(number)).first()
    assert line is not None
    assert line.actor == operator


def test_every_verb_has_its_line_here_and_a_name_that_commands_can_spell():
    assert set(LINES) == set(VERBS)
    for verb in VERBS.values():
        assert verb_named(verb.word) is verb
        assert set(verb.needs) <= set(verb.takes)
    with pytest.raises(NotFoundError, match="There are: start"):
        verb_named("explode")


def test_only_admins_delete_and_mark():
    assert {verb.name for verb in VERBS.values() if verb.scope == "admin"} == {"delete", "mark_stopped"}


def test_what_loses_something_is_dangerous():
    assert {verb.name for verb in VERBS.values() if verb.is_dangerous} == {
        "delete",
        "mark_stopped",
        "stop_now",
    }


@pytest.mark.parametrize(
    ("status", "kind", "names"),
    [
        (Status.DRAFT, Kind.TRAIN, {"start", "clone", "priority", "archive", "delete"} | TAGGING),
        (Status.RUNNING, Kind.TRAIN, {"stop", "stop_now", "clone", "mark_stopped"} | TAGGING),
        (Status.STOPPING, Kind.TRAIN, {"stop_now", "clone", "mark_stopped"} | TAGGING),
        (Status.STOPPED, Kind.TRAIN, {"resume", "clone", "archive", "delete"} | TAGGING),
        (Status.LOST, Kind.TRAIN, {"resume", "clone", "mark_stopped", "archive", "delete"} | TAGGING),
        (Status.FAILED, Kind.BENCH, {"requeue", "clone", "archive", "delete"} | TAGGING),
        (Status.FAILED, Kind.EVALUATE, {"resume", "archive", "delete"} | TAGGING),
        (Status.COMPLETED, Kind.GENERATE, {"archive", "delete"} | TAGGING),
    ],
)
def test_only_what_fits_is_offered(status, kind, names):
    run = run_in(status, kind=kind)
    assert {verb.name for verb in offered(run, scope="admin")} == names
    assert offered(run, scope="read") == []
    assert offered(run, scope=None) == []


def test_what_waits_can_be_ordered_and_taken_out_of_the_queue():
    run = queued()
    offers = {verb.name: verb for verb in offered(run, scope="operate")}
    assert set(offers) == {"stop", "clone", "move", "priority"} | TAGGING
    assert offers["stop"].label_for(run) == "Take out of the queue"
    run.assigned_to = "runs@there/cpu:0"
    assert {verb.name for verb in offered(run, scope="operate")} == {
        "stop",
        "clone",
        "requeue",
        "priority",
    } | TAGGING


@pytest.mark.parametrize(
    ("name", "arguments", "error", "said"),
    [
        ("move", {}, InvalidInputError, "needs where"),
        ("stop", {"step": 4}, InvalidInputError, "takes no step"),
        ("priority", {"priority": 5000}, InvalidInputError, "from -1000 to 1000"),
        ("pin", {"step": 4}, NotFoundError, "no checkpoint"),
        ("start", {}, ConflictError, "only a draft"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(name, arguments, error, said):
    with pytest.raises(error, match=said):
        perform(VERBS[name], queued(), **arguments)


def test_a_run_that_was_deleted_meanwhile_is_not_found():
    run = run_in(Status.STOPPED)
    stale = Run.objects.get(pk=run.pk)
    perform(VERBS["delete"], run)
    with pytest.raises(NotFoundError, match="deleted"):
        perform(VERBS["resume"], stale)


def test_a_stop_that_is_already_under_way_can_be_made_to_hurry():
    run = run_in(Status.STOPPING)
    release_device()
    perform(VERBS["stop_now"], run)
    assert fresh(run).stop_now
    assert VERBS["stop_now"] not in offered(run, scope="admin")
