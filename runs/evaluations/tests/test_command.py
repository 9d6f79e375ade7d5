"""The commands that evaluate: many runs at once, and wrong use refused in words."""

import pytest
from django.core.management import CommandError, call_command

from runs.evaluations.tests.support import trained
from runs.models import Run
from runs.states import Kind


@pytest.mark.django_db
def test_control_evaluates_many_runs(capsys):
    runs = [trained(), trained()]
    call_command("control", "evaluate", *(str(run.pk) for run in runs))
    said = capsys.readouterr().out
    for run in runs:
        made = Run.objects.get(kind=Kind.EVALUATE, parent=run)
        assert f"Run {made.pk} grades step 10 of run {run.pk}" in said
        assert made.origin.startswith("manage.py control evaluate")


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
