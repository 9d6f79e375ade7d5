"""The page of one evaluation, the form that asks for another, the buttons that lead there."""

import re

import pytest
from django.utils import timezone

from runs.evaluations.figures import Check, findings_of
from runs.evaluations.tests.support import drawn, evaluated, named, trained
from runs.models import Checkpoint, Evaluation, Run, Sample
from runs.states import Kind, Status
from runs.tests.samples_support import graded, hash_of, training
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db

SAMPLES = [
    graded("a", checks={"format": True, "arithmetic": None}),
    graded(
        "b", "1", steps_valid=(True, False), first_wrong_step=1, checks={"format": True, "arithmetic": False}
    ),
    graded("c", steps_valid=(False,), first_wrong_step=0, checks={"format": True, "arithmetic": True}),
    graded("d", None, checks={"format": False, "arithmetic": None}, finished=False),
]


@pytest.fixture
def run():
    return trained(name=WILD)


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(path, code=200):
        return page_text(client.get(path), code)

    return read


def test_the_page_shows_everything_that_is_stored(page, run):
    row = evaluated(run, SAMPLES, right_with_invalid_step=1, format_rate=0.75)
    text = page(f"/evaluations/{row.pk}/")
    for fact in (
        "Answers right", "95 % interval 10.0 % – 90.0 %; 2 of 4", "Right, invalid step", "75.0 %",
        "300 a second", "at most 4 asked for", "auto, version 1", "max-new-tokens",
        row.results_hash, run.checkpoints.get().path, run.dataset.content_hash,
        "every line before the answer is a step", "wrong from 2", "cut off",
        f'href="/runs/{run.pk}/samples/?evaluation={row.pk}&amp;prompt={hash_of("a")[:12]}#prompt"',
        "2 of 4 texts with checked steps have a wrong one",
    ):  # fmt: skip
        assert fact in text, fact
    assert '{"start": 1, "width": 1, "counts": [1, 1]}' in text
    assert "Identical" not in text
    assert "Evaluate again" not in text


def test_texts_are_chosen_by_their_verdicts(page, run):
    row = evaluated(run, SAMPLES)

    def shown(name):
        body = page(f"/evaluations/{row.pk}/?filter={name}").partition('id="texts"')[2]
        return re.findall(r'earlier ones">(\w)</a>', body)

    assert shown("all") == ["a", "b", "c", "d"] == shown("nonsense")
    assert shown("wrong") == ["b", "d"]
    assert shown("right_invalid_step") == ["c"]
    assert shown("bad_format") == ["d"] == shown("unfinished")


def test_an_equal_one_says_so_and_one_that_differs_names_what(page, run):
    first = evaluated(run, SAMPLES)
    same = evaluated(run, SAMPLES)
    assert f'Identical to <a href="/evaluations/{first.pk}/">' in page(f"/evaluations/{same.pk}/")
    other = evaluated(run, [*SAMPLES[:3], graded("d", "0")])
    assert "1 of 4 texts, the first at prompt 4" in page(f"/evaluations/{other.pk}/")


def test_several_texts_a_prompt_are_summed_up(page, run):
    samples = drawn("a", ["0", "1"], True) + drawn("b", ["1", "1"], False)
    decoding = {"temperature": 1.0, "samples": 2, "seed": 5, "max_new_tokens": 24, "top_k": 0, "top_p": 1.0}
    row = evaluated(run, samples, pass_at={"1": 0.25, "2": 0.5}, majority_accuracy=0.5, decoding=decoding)
    text = page(f"/evaluations/{row.pk}/")
    assert "pass@2" in text
    assert "maj@2" in text
    assert "majority wrong" in text
    assert "the 2 texts after one prompt are not independent" not in text
    tab = page(f"/runs/{run.pk}/evaluations/")
    assert "pass@1 25.0%, pass@2 50.0%, maj@2 50.0%" in tab
    assert "max-new-tokens 24, temperature 1, seed 5, samples 2" in tab
    assert f'href="/evaluations/{row.pk}/"' in tab


def test_texts_that_share_a_prompt_have_no_interval_of_their_checks(page, run):
    alone = evaluated(run, SAMPLES)
    assert [one.interval is None for one in findings_of(alone).checks] == [False, False]
    assert "Passed (95 % interval)" in page(f"/evaluations/{alone.pk}/")
    samples = [graded(name, draw=draw, checks={"format": draw > 0}) for name in "ab" for draw in range(4)]
    row = evaluated(run, samples)
    (check,) = findings_of(row).checks
    assert (check.passed, check.checked, check.interval) == (6, 8, None)
    text = page(f"/evaluations/{row.pk}/")
    assert "Passed (95 % interval)" not in text
    assert "6 of 8" in text
    assert "the 4 texts after one prompt are not independent" in text


def test_a_check_that_had_nothing_to_check_has_no_interval():
    assert Check("format", "", 0, 0, 3).interval is None


def test_old_ones_say_that_graders_were_not_recorded(page):
    run = training([graded("a"), graded("b", "1", steps_valid=(True, False))])
    row = Evaluation.objects.get()
    Sample.objects.update(tokens=None)
    text = page(f"/evaluations/{row.pk}/")
    assert "graded before graders were recorded" in text
    assert "one is wrong" in text
    # Where they first go wrong is read off the steps.
    assert '"counts": [0, 1]' in text
    assert "graded before graders were recorded" in page(f"/runs/{run.pk}/evaluations/")
    # Neither figure was counted then.
    for label in ("Right, invalid step", "In the right form"):
        stat = text.partition(f'<div class="stat-label">{label}</div>')[2]
        assert stat.startswith('<div class="stat-value"><span class="muted">not recorded</span>'), label


def test_what_is_not_there_is_404(page):
    page("/evaluations/4711/", 404)
    page(f"/evaluations/{10**30}/", 404)


def test_viewers_are_offered_nothing_to_do(client, viewer, run):
    client.force_login(viewer)
    assert f"/runs/{run.pk}/evaluate/" not in page_text(client.get(f"/runs/{run.pk}/evaluations/"))
    assert client.get(f"/runs/{run.pk}/evaluate/").status_code == 403


def test_the_same_is_asked_for_again_with_its_settings_filled_in(client, operator, run):
    client.force_login(operator)
    decoding = {"temperature": 0.5, "samples": 2, "seed": 5, "max_new_tokens": 24, "top_k": 0, "top_p": 1.0}
    row = evaluated(run, drawn("a", ["0", "1"], True), decoding=decoding, subset_seed=9)
    text = page_text(client.get(row.get_absolute_url()))
    link = re.search(r'href="(/runs/\d+/evaluate/[^"]*)"', text)
    assert link is not None
    form = page_text(client.get(link[1].replace("&amp;", "&")))
    for name, value in (("temperature", "0.5"), ("samples", "2"), ("seed", "5"), ("subset_seed", "9")):
        assert re.search(rf'name="{name}"[^>]* value="{value}"', form), name
    assert '<option value="auto" selected>' in form


def test_a_checkpoint_that_is_gone_stays_chosen_until_another_is(client, operator, run):
    client.force_login(operator)
    row = evaluated(run, SAMPLES)
    link = re.search(r'href="(/runs/\d+/evaluate/[^"]*)"', page_text(client.get(row.get_absolute_url())))
    assert link is not None
    Checkpoint.objects.filter(run=run).update(removed_at=timezone.now())
    form = page_text(client.get(link[1].replace("&amp;", "&")))
    assert '<option value="10" selected>step 10 (no longer on disk)</option>' in form
    assert "cannot be graded any more" in form
    answer = page_text(client.post(f"/runs/{run.pk}/evaluate/", {"checkpoint": "10"}))
    assert "has no checkpoint on disk" in answer
    assert '<option value="10" selected>' in answer
    wild = page_text(client.get(f"/runs/{run.pk}/evaluate/", {"checkpoint": WILD}))
    assert "(names no checkpoint here)" in wild
    page_text(client.get(f"/runs/{run.pk}/evaluate/", {"checkpoint": "9" * 5000}))
    assert Run.objects.filter(kind=Kind.EVALUATE).count() == 1


def test_names_on_checkpoints_are_offered(client, operator, run):
    client.force_login(operator)
    named(run.checkpoints.get(), "production")
    form = page_text(client.get(f"/runs/{run.pk}/evaluate/?checkpoint=golden-v2:production"))
    assert '<option value="golden-v2:production" selected>golden-v2:production (step 10)</option>' in form
    assert "cannot be graded any more" not in form
    assert '<option value="production" selected>' in page_text(
        client.get(f"/runs/{run.pk}/evaluate/?checkpoint=production")
    )
    client.post(f"/runs/{run.pk}/evaluate/", {"checkpoint": "golden-v2:production"})
    assert Run.objects.get(kind=Kind.EVALUATE).params["step"] == 10


def test_an_operator_asks_by_the_form(client, operator, run):
    client.force_login(operator)
    for tab in ("evaluations", "checkpoints"):
        assert f'href="/runs/{run.pk}/evaluate/' in page_text(client.get(f"/runs/{run.pk}/{tab}/"))
    form = page_text(client.get(f"/runs/{run.pk}/evaluate/?checkpoint=10"))
    assert '<option value="10" selected>' in form
    assert "gsm8k_strict" in form
    sent = {
        "checkpoint": "10", "split": "train", "limit": "3", "grader": "numeric", "dataset": "",
        "samples": "4", "temperature": "0.5", "top_k": "", "subset_seed": "9",
    }  # fmt: skip
    answer = client.post(f"/runs/{run.pk}/evaluate/", sent)
    made = Run.objects.get(kind=Kind.EVALUATE)
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{made.pk}/")
    assert (made.status, made.owner, made.params["decoding"]) == (
        Status.QUEUED,
        operator,
        {"samples": 4, "temperature": 0.5},
    )
    assert (made.params["split"], made.params["limit"], made.params["subset_seed"]) == ("train", 3, 9)
    assert "prompt 0 of 3" in page_text(client.get(f"/runs/{made.pk}/"))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"limit": "many"}, "limit: &#x27;many&#x27; is no whole number"),
        ({"samples": "4"}, "samples=4 changes nothing at temperature=0"),
        ({"temperature": "nan"}, "temperature"),
        ({"grader": "guess"}, "no grader"),
        ({"dataset": "nope-v1", "limit": "5"}, "no dataset"),
    ],
)
def test_a_form_that_is_wrong_says_what_and_keeps_the_rest(client, operator, run, sent, said):
    client.force_login(operator)
    text = page_text(client.post(f"/runs/{run.pk}/evaluate/", {"subset_seed": "77", **sent}))
    assert 'role="alert"' in text
    assert said in text
    assert 'value="77"' in text
    assert not Run.objects.filter(kind=Kind.EVALUATE).exists()


def test_buttons_evaluate_the_newest_checkpoint_or_the_one_beside_them(client, operator, run):
    client.force_login(operator)
    assert 'value="evaluate"' in page_text(client.get(f"/runs/{run.pk}/"))
    client.post(f"/runs/{run.pk}/act/", {"action": "evaluate"})
    pk = run.checkpoints.get().pk
    answer = client.post(f"/runs/{run.pk}/checkpoints/{pk}/", {"action": "evaluate"})
    first, second = Run.objects.filter(kind=Kind.EVALUATE).order_by("pk")
    assert answer["Location"] == f"/runs/{second.pk}/"
    assert [one.params["step"] for one in (first, second)] == [10, 10]


def test_the_admin_evaluates_runs_and_checkpoints(client, administrator, run):
    client.force_login(administrator)
    for model, pk in (("run", run.pk), ("checkpoint", run.checkpoints.get().pk)):
        answer = client.post(
            f"/admin/runs/{model}/", {"action": "evaluate", "_selected_action": str(pk)}, follow=True
        )
        assert f"grades step 10 of run {run.pk}" in str(answer.content, "utf-8")
    assert Run.objects.filter(kind=Kind.EVALUATE, status=Status.QUEUED).count() == 2
