"""The commands that evaluate: many runs at once, and wrong use refused in words."""

import pytest
from django.core.management import CommandError, call_command

from runs.evaluations.tests.support import trained
from runs.leaderboard.tests.support import graded
from runs.management.commands.evaluate import Command
from runs.models import Run
from runs.states import Kind, Status
from runs.tests.support import fresh, with_jax


@pytest.mark.django_db
def test_control_evaluates_many_runs(capsys):
    runs = [trained(), trained()]
    call_command("control", "evaluate", *(str(run.pk) for run in runs))
    said = capsys.readouterr().out
    for run in runs:
        made = Run.objects.get(kind=Kind.EVALUATE, parent=run)
        assert f"Run {made.pk} grades step 10 of run {run.pk}" in said
        assert made.origin.startswith("manage.py control evaluate")


@with_jax
@pytest.mark.django_db
def test_one_that_is_done_and_not_stored_says_where_it_is(monkeypatch):
    run = trained()
    made = []

    def completed(self, run, **_):
        Run.objects.filter(pk=run.pk).update(status=Status.COMPLETED, attempt=1)
        made.append(fresh(run))
        return made[0]

    monkeypatch.setattr("runs.launching.RunCommand.carry_out", completed)
    with pytest.raises(CommandError) as caught:
        call_command("evaluate", str(run.pk), "--device=cpu", "--foreground")
    said = str(caught.value)
    assert f"Run {made[0].pk} is completed, but its evaluation is not in the database" in said
    assert made[0].address in said
    assert f"{made[0].attempt_directory(1)}: manage.py import_journal" in said


def test_the_command_does_not_make_up_what_was_not_recorded(capsys):
    command = Command()
    command.as_json = False
    row = graded(Run(pk=1), 50, grader="", grader_version=0, decoding={}, right_with_invalid_step=0)
    command._tell(row)
    assert "Right with an invalid step: not recorded." in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--samples=4"], 2, "samples=4 changes nothing at temperature=0"),
        (["--grader=guess"], 1, "no grader 'guess'; there are auto"),
        (["--checkpoint=99"], 1, "There are: 10"),
        (["--dataset=nope-v1"], 1, "no dataset 'nope-v1'"),
        (["--again"], 1, "none can be repeated"),
        (["--resume"], 1, "only an evaluation that was stopped, failed or lost"),
        (["--resume", "--limit=3"], 2, "drop --limit"),
    ],
)
def test_wrong_use_is_refused_in_words(flags, code, said):
    run = trained()
    with pytest.raises(CommandError, match=said) as caught:
        call_command("evaluate", str(run.pk), *flags, "--device=cpu", "--foreground")
    assert caught.value.returncode == code
    assert not Run.objects.filter(kind=Kind.EVALUATE).exists()
