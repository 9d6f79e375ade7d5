"""Base model and fine-tuned model on the same prompts: figures, pages, and when there is nothing to show."""

import pytest

from runs.base_models.before_after import before_after
from runs.evaluation_pairs.changes import pair_up
from runs.management.commands.finetune import figures, in_words
from runs.models import Evaluation
from runs.tests.samples_support import graded, record
from runs.tests.support import finish, fresh, make_dataset, make_run, release_device, start
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db


def trained(*rows, evaluate_first=True, final=True):
    """A completed training with evaluations at given steps: (step, samples)."""
    attempt = start(make_run(dataset=make_dataset(), config={"evaluate_first": evaluate_first}))
    for number, (step, samples) in enumerate(rows, start=1):
        record(attempt, step, samples, final=final and number == len(rows))
    finish(attempt)
    release_device()
    return fresh(attempt.run)


def compared(run):
    found = before_after(run)
    assert found is not None
    return found


def answers(right, of=10):
    return [graded(str(number), "0" if number in right else "9") for number in range(of)]


def test_the_first_and_the_last_are_compared_on_the_prompts_that_both_hold():
    few = answers({0}, of=2)
    run = trained((0, answers({0, 1})), (5, few), (10, answers({1, 2, 3, 4, 5, 6, 7, 8})))
    found = compared(run)
    assert (found.before.step, found.after.step) == (0, 10)
    assert (found.accuracy_before, found.accuracy_after) == (0.2, 0.8)
    assert found.change == pytest.approx(0.6)
    assert (found.counts.only_baseline, found.counts.only_other) == (1, 7)
    assert found.counts.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert found.counts == pair_up(found.before, found.after).counts
    assert found.words == "better, but chance may explain it"
    assert found.change_points == "+60.0"
    assert found.address == f"/evaluations/compare/?ids={found.before.pk}%2C{found.after.pk}"


def test_the_interval_of_the_change_is_agresti_and_mins():
    run = trained((0, answers({0, 1})), (10, answers({1, 2, 3, 4, 5, 6, 7, 8})))
    low, high = compared(run).interval
    # With 7.5 gained and 1.5 lost of 12: 0.5 ± 1.96 sqrt(9 - 36 / 12) / 12.
    assert low == pytest.approx(0.5 - 1.959964 * 6**0.5 / 12, abs=1e-6)
    assert high == pytest.approx(0.5 + 1.959964 * 6**0.5 / 12, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (set(), set(range(10)), "better, more than chance explains"),
        (set(range(10)), set(), "worse, more than chance explains"),
        ({1}, {1}, "no verdict changed"),
        ({1}, {2}, "as many gained as lost"),
    ],
)
def test_what_chance_explains_stands_in_words(before, after, words):
    assert compared(trained((0, answers(before)), (10, answers(after)))).words == words


def test_without_both_there_is_nothing_to_compare(django_assert_num_queries):
    assert before_after(trained((10, answers({1})))) is None
    assert before_after(trained((0, answers({1})))) is None
    plain = trained((0, answers({1})), (10, answers({1})), evaluate_first=False)
    with django_assert_num_queries(0):
        assert before_after(plain) is None


def test_how_many_texts_were_finished_and_had_the_form_stands_beside_the_shares(client, viewer):
    cut = [graded(str(number), "9", finished=False) for number in range(8)]
    run = trained((0, [*cut, *answers({8, 9})[8:]]), (10, answers(set(range(10)))))
    Evaluation.objects.filter(step=0).update(format_rate=0.125, decoding={"max_new_tokens": 300})
    Evaluation.objects.filter(step=10).update(format_rate=1.0)
    found = compared(run)
    assert found.form_words == (
        "Before training: 20.0% of 10 texts were finished, and 12.5% had the form that is asked for. "
        "Trained: 100.0% of 10 texts were finished, and 100.0% had the form that is asked for."
    )
    assert "ended by itself within 300 tokens: a low share before may say that" in found.caution
    assert (figures(found)["base_finished_rate"], figures(found)["finished_rate"]) == (0.2, 1.0)
    assert (figures(found)["base_format_rate"], figures(found)["format_rate"]) == (0.125, 1.0)
    assert found.form_words in in_words(found)
    assert found.caution in in_words(found)
    client.force_login(viewer)
    text = page_text(client.get(f"/runs/{run.pk}/"))
    assert found.form_words in text
    assert found.caution in text


def test_verdicts_are_read_once_and_without_a_text(django_assert_num_queries):
    run = trained((0, answers({0})), (10, answers({1})))
    with django_assert_num_queries(3) as captured:
        first = before_after(run)
    assert not any("generated_text" in query["sql"] or '"prompt"' in query["sql"] for query in captured)
    with django_assert_num_queries(1):
        assert before_after(run) == first


def test_another_grader_is_no_comparison():
    run = trained((0, answers({1})), (10, answers({1, 2})))
    Evaluation.objects.filter(step=0).update(grader="numeric")
    Evaluation.objects.filter(step=10).update(grader="exact")
    assert before_after(run) is None


@pytest.mark.parametrize("tab", ["", "evaluations/"])
def test_overview_and_evaluations_show_it(client, viewer, tab):
    run = trained((0, answers({0})), (10, answers(set(range(10)))))
    client.force_login(viewer)
    text = page_text(client.get(f"/runs/{run.pk}/{tab}"))
    assert "Before and after" in text
    assert "9 gained and 0 lost" in text
    assert "p = 0.0039" in text
    found = compared(run)
    assert f'href="{found.address}"' in text
    assert "Before and after" not in page_text(client.get(f"/runs/{trained((10, answers({1}))).pk}/{tab}"))
    assert client.get(found.address).status_code == 200
