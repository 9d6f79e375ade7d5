"""Graded models side by side in the trials of all pages: boards, names on checkpoints, pairs."""

from django.urls import reverse

from runs.leaderboard.boards import boards_of
from runs.leaderboard.tests.support import clean, make_runs, store
from runs.models import Evaluation, Run
from runs.promotion.moving import promote
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import at, grade, trained
from runs.tests.samples_support import graded, record
from runs.tests.support import finish, make_dataset, make_run, release_device, start


def board_pages(name: str = "", *, runs: int = 14) -> dict[str, str]:
    """The addresses of boards with entries of every mark, and of a run with names on its checkpoints."""
    release_device()
    data = make_dataset()
    marks = [clean(), clean(trace=3, prompt=2), clean(ngram=7), None, {"mark": "unknown", "why": name or "x"}]
    for number, run in enumerate(make_runs(runs, data)):
        Run.objects.filter(pk=run.pk).update(name=name or f"chain, 2 layers, seed {number}")
        store(run, 99 - 5 * (number % 19), overlap=marks[number % 5], right_with_invalid_step=number)
    old = make_runs(1, data)[0]
    store(old, 70, grader="", grader_version=0, decoding={}, step_accuracy=None)
    store(old, 75, step=20, draws=8, decoding={"temperature": 0.8, "top_p": 0.95}, majority_accuracy=0.8)
    run = trained(name=name or "promoted")
    grade(run, 5, 95)
    set_rule(scope=data.key, name="best", changes={"metric": "interval_low", "min_accuracy": 0.8})
    promote(at(run, 10), name="production", scope=data.key, why=name or "95 % on the test split, no overlap")
    board = next(one for one in boards_of([data]) if one.grader and one.draws == 1)
    first, second = two_evaluations(name)
    return {
        "leaderboard-detail": reverse("leaderboard:detail", args=[data.key]),
        "leaderboard-board": reverse("leaderboard:detail", args=[data.address])
        + f"?board={board.code}&all=1",
        "leaderboard-hidden": reverse("leaderboard:detail", args=[data.key]) + "?overlap=hide",
        "leaderboard-list": reverse("leaderboard:list"),
        "run-names": reverse("runs:checkpoints", args=[run.pk]),
        "pairs": f"{reverse('evaluation_pairs:compare')}?ids={first.pk},{second.pk}",
        "pairs-tab": reverse("runs:evaluations", args=[first.run_id]),
        "before-after": reverse("runs:detail", args=[first.run_id]),
    }


def two_evaluations(name: str = "", *, prompts: int = 12) -> tuple[Evaluation, Evaluation]:
    """Two evaluations of one training that share all prompts but two, the first before its first update."""
    config = {"evaluate_first": True}
    attempt = start(make_run(dataset=make_dataset(), name=name or "compared", config=config))
    words = [f"{number}+{number * 3 % 7} {name}".strip() for number in range(prompts)]
    first = record(attempt, 0, [graded(one, "0" if number % 3 else "9") for number, one in enumerate(words)])
    later = [graded(one, "0" if number % 4 else name or "8") for number, one in enumerate(words[1:])]
    second = record(attempt, 20, [*later, graded(f"another {name}")])
    finish(attempt)
    release_device()
    return first, second
