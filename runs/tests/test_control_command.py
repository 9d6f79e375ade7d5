"""``control`` and ``queue``: every verb in a shell, one line a run, and honest exit codes."""

import io
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from runs.management.commands.control import Command
from runs.models import Checkpoint, Run
from runs.queueing import waiting_runs
from runs.states import Kind, Status
from runs.tests.control_support import checkpoint_row, hold, make_device, make_worker, queued
from runs.tests.support import fresh, make_run, release_device, run_in
from runs.verbs import VERBS
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def control(capsys):
    """Call the command; give its exit code, what it said and how it failed."""

    def call(*words: object) -> tuple[int, str]:
        try:
            call_command("control", *map(str, words))
        except CommandError as error:
            return error.returncode, capsys.readouterr().out + str(error)
        return 0, capsys.readouterr().out

    return call


@pytest.fixture
def trained(artifacts_dir):
    run = run_in(Status.COMPLETED, config={"steps": 20})
    checkpoint_row(run, Path(run.checkpoint_dir), 5)
    return run


def test_each_run_gets_its_line_and_the_others_are_done_where_one_fails(control):
    done, running = run_in(Status.COMPLETED), run_in(Status.RUNNING)
    code, said = control("stop", done.pk, running.pk, 4711)
    assert code == 1
    assert f"{done.pk}: FAILED: Run {done.pk} is completed; there is nothing to stop." in said
    assert f"{running.pk}: Run {running.pk} is stopping." in said
    assert "4711: FAILED: There is no run 4711." in said
    assert "2 of 3 failed" in said
    assert fresh(running).status == Status.STOPPING


def test_every_verb_is_a_word_of_the_command(control):
    for verb in VERBS.values():
        assert f"{verb.word}: {verb.about}" in Command.help
        with pytest.raises(CommandError):
            call_command("control", verb.word.upper(), "1")


def test_starting_stopping_resuming_and_requeuing(control):
    draft = make_run()
    assert control("start", draft.pk) == (0, f"{draft.pk}: Run {draft.pk} is queued.\n")
    assert control("stop", draft.pk)[0] == 0
    assert control("resume", draft.pk, "--allow-inexact")[0] == 0
    assert fresh(draft).params["allow_inexact"] == 2
    assert control("stop-now", draft.pk)[0] == 0
    assert control("requeue", draft.pk)[0] == 0
    assert (fresh(draft).status, draft.attempt) == (Status.QUEUED, 3)
    lost = run_in(Status.LOST)
    assert control("mark-stopped", lost.pk)[0] == 0
    assert fresh(lost).status == Status.STOPPED


def test_a_clone_takes_other_values_and_a_name(control):
    run = run_in(Status.COMPLETED)
    code, _ = control("clone", run.pk, "--set", "learning_rate=1e-4", "--name", "x")
    made = Run.objects.get(parent=run)
    assert (code, made.name, made.config["learning_rate"], made.status) == (0, "x", 1e-4, Status.DRAFT)
    assert "no field" in control("clone", run.pk, "--set", "wrong=1")[1]


def test_a_fork_starts_unless_it_is_to_be_a_draft(control, trained):
    assert control("fork", trained.pk, "--step", 5, "--set", "steps=30")[0] == 0
    assert control("fork", trained.pk, "--step", 5, "--draft")[0] == 0
    started, draft = Run.objects.filter(parent=trained).order_by("id")
    assert (started.status, started.config["steps"], started.parent_step) == (Status.QUEUED, 30, 5)
    assert (draft.status, draft.origin) == (Status.DRAFT, f"manage.py control fork {trained.pk}")


def test_pins_by_step(control, trained):
    assert control("pin", trained.pk, "--step", 5)[0] == 0
    assert Checkpoint.objects.get().pinned
    assert "Unpin first" in control("delete", trained.pk, "--yes")[1]
    assert control("unpin", trained.pk, "--step", 5)[0] == 0
    assert not Checkpoint.objects.get().pinned
    assert "no checkpoint of step 6" in control("pin", trained.pk, "--step", 6)[1]


def test_the_queue_is_ordered(control):
    first, second, third = queued(), queued(), queued()
    assert control("move", third.pk, "--to", "first") == (
        0,
        f"{third.pk}: Run {third.pk} is number 1 in the queue.\n",
    )
    assert control("priority", second.pk, 5)[0] == 0
    assert list(waiting_runs()) == [second, third, first]
    assert control("priority", first.pk, third.pk, -3)[0] == 0
    assert [row.priority for row in waiting_runs()] == [5, -3, -3]
    assert "from -1000 to 1000" in control("priority", first.pk, 5000)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("move", "1"), "move needs --to"),
        (("fork", "1"), "fork needs --step"),
        (("stop", "1", "--step", "4"), "stop takes no --step"),
        (("resume", "1", "--name", "x"), "resume takes no --name"),
        (("priority", "1"), "priority: write the run"),
        (("priority", "1", "high"), "priority: write the run"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(control, words, said):
    code, text = control(*words)
    assert code == 2
    assert said in text


def test_deleting_asks_and_refuses_where_nobody_can_answer(control, trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    code, said = control("delete", trained.pk)
    assert code == 1
    assert "Add --yes" in said
    assert Run.objects.filter(pk=trained.pk).exists()


@pytest.mark.parametrize(("answer", "gone"), [("yes", True), ("no", False), ("", False)])
def test_deleting_takes_yes_on_a_terminal_for_an_answer(control, trained, monkeypatch, answer, gone):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as terminal:
        os.write(ours, f"{answer}\n".encode())
        monkeypatch.setattr(sys, "stdin", terminal)
        code, _ = control("delete", trained.pk)
    os.close(ours)
    assert (code == 0) == gone
    assert Run.objects.filter(pk=trained.pk).exists() != gone


def test_deleting_with_yes_tells_the_bytes(trained, capsys):
    call_command("control", "delete", str(trained.pk), "--yes", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["ok"]
    assert said["runs"][0]["freed_bytes"] > 0
    assert AuditEvent.objects.get(action="run.deleted").actor is None


def test_json_names_what_failed_and_what_was_made(capsys):
    run, bench = run_in(Status.STOPPED), run_in(Status.STOPPED, kind=Kind.EVALUATE)
    with pytest.raises(CommandError):
        call_command("control", "clone", str(run.pk), str(bench.pk), "--json")
    made, refused = json.loads(capsys.readouterr().out)["runs"]
    assert made["made"] == Run.objects.get(parent=run).pk
    assert (refused["ok"], "only a training" in refused["message"]) == (False, True)


def test_the_queue_is_listed_with_reasons_and_with_what_runs(capsys):
    make_worker()
    holder = hold(make_device(), seconds=10.0)
    first, second = queued(name="mine"), queued()
    call_command("queue")
    said = capsys.readouterr().out
    assert f"cpu:0 of there: run {holder.pk}, running, step 10 of 100" in said
    assert f"1. run {first.pk} “mine”: cpu:0 is busy with run {holder.pk}, about 15 min left" in said
    call_command("queue", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert [row["run_id"] for row in facts["waiting"]] == [first.pk, second.pk]
    assert facts["waiting"][1]["reason"].endswith("1 run goes first")
    assert facts["running"][0]["device"] == "cpu:0"


def test_an_empty_queue_says_so(capsys):
    release_device()
    call_command("queue")
    assert capsys.readouterr().out == "Nothing waits.\n"
