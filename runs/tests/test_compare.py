"""Runs side by side: what the address asks for, distances in words, paired counts, prompts, the export."""

import csv
import io
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.compare.asking import MAX_COMPARED, Asked
from runs.compare.deltas import delta
from runs.compare.grades import read_grades
from runs.compare.pairing import Paired, exact_mcnemar, paired
from runs.compare.prompts import FILTER_NAMES, choose, count_each, list_prompts
from runs.compare.summary import _points
from runs.models import Benchmark, Evaluation, Run
from runs.states import Kind, Status
from runs.tests.samples_support import graded, training
from runs.tests.support import make_run, run_in, write_points
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

WILD = "<script>alert(1)</script> שלום 🦜 & '\""


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(**query: object) -> str:
        return page_text(client.get("/runs/compare/", {name: str(value) for name, value in query.items()}))

    return read


@pytest.fixture
def two():
    """Two trainings, graded on three prompts each, of which they share a and b."""
    first = training([graded("a"), graded("b", "1"), graded("c")], name="first")
    second = training([graded("a", "2"), graded("b", "1"), graded("d")], name="second")
    Run.objects.filter(pk=first.pk).update(final_loss=0.5)
    Run.objects.filter(pk=second.pk).update(final_loss=0.4875)
    return Run.objects.get(pk=first.pk), Run.objects.get(pk=second.pk)


def by_hand(first: int, second: int) -> float:
    n = first + second
    tail = sum(comb(n, k) for k in range(min(first, second) + 1)) / 2**n
    return min(1.0, float(2 * tail))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 6, 0.03125), (10, 2, 0.03857421875), (5, 5, 1.0), (3, 9, 0.14599609375)],
)
def test_the_exact_test_gives_known_values(first, second, expected):
    assert exact_mcnemar(first, second) == pytest.approx(expected)
    assert exact_mcnemar(second, first) == pytest.approx(expected)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_exact_test_equals_the_binomial_sum(first, second):
    assert exact_mcnemar(first, second) == pytest.approx(by_hand(first, second), rel=1e-12)


def test_the_exact_test_bears_large_and_refuses_negative_counts():
    assert exact_mcnemar(0, 10_000) == 0.0
    assert Paired(only_other=10_000).p_words == "p < 0.0001"
    assert exact_mcnemar(5000, 5000) == 1.0
    with pytest.raises(ValueError, match="no counts"):
        exact_mcnemar(-1, 2)


def test_shared_prompts_are_counted_by_who_was_right():
    sides = dict(enumerate(product((True, False), repeat=2)))
    first = {str(key): pair[0] for key, pair in sides.items()} | {"only here": True}
    second = {str(key): pair[1] for key, pair in sides.items()} | {"only there": True}
    found = paired(first, second)
    assert found == Paired(1, 1, 1, 1)
    assert (found.n, found.discordant) == (4, 2)
    assert "neither is ahead" in found.words
    assert "baseline is ahead; more than chance" in Paired(only_baseline=9).words
    assert "this run is ahead; chance may explain it" in Paired(only_other=2).words
    assert Paired(both_right=3).words == "no difference on any prompt"
    assert Paired().words == "no prompt in common"


@pytest.mark.parametrize(
    ("value", "base", "better", "words"),
    [
        (0.488, 0.5, "lower", "−0.012 lower, better"),
        (0.512, 0.5, "lower", "+0.012 higher, worse"),
        (0.512, 0.5, "higher", "+0.012 higher, better"),
        (0.488, 0.5, "higher", "−0.012 lower, worse"),
        (0.488, 0.5, "", "−0.012 lower"),
        (0.5, 0.5, "lower", "same"),
    ],
)
def test_a_distance_has_a_sign_and_words(value, base, better, words):
    assert str(delta(value, base, better=better, write=lambda number: f"{number:.3f}")) == words


@pytest.mark.parametrize("pair", [(None, 1.0), (1.0, None), (float("nan"), 1.0), (1.0, float("inf"))])
def test_there_is_no_distance_where_a_figure_is_missing(pair):
    assert delta(*pair, better="lower", write=str) is None


def test_an_address_is_read_in_order_and_names_what_it_cannot_mean():
    asked = Asked.read(
        {"ids": "3,1 3,x", "with": "2", "baseline": "1", "metric": "b,a,b", "full": "config,odd"}
    )
    assert asked.ids == (3, 1, 2)
    assert asked.baseline == 1
    assert asked.metrics == ("b", "a")
    assert asked.full == {"config"}
    assert asked.notes == ["“x” is no number of a run."]
    assert asked.link() == "?ids=3,1,2&baseline=1&metric=b,a&full=config"
    assert Asked.read({"full": "none"}).full == frozenset()
    assert Asked.read({"ids": "1", "add": "2 3"}).ids == (1, 2, 3)
    assert Asked.read({"ids": "1", "add": "wild 2"}).search == "wild 2"
    many = Asked.read({"ids": ",".join(map(str, range(1, 26)))})
    assert (len(many.ids), many.left_out) == (MAX_COMPARED, (21, 22, 23, 24, 25))


def test_the_page_says_which_run_is_lower_and_better(page, two):
    first, second = two
    text = page(ids=f"{first.pk},{second.pk}")
    assert "−0.0125 lower, better" in text
    assert "−33.3 points lower, worse" in text
    assert "95 % interval 10.0 % – 90.0 %, n = 3, step 10" in text
    turned = page(ids=f"{first.pk},{second.pk}", baseline=second.pk)
    assert "+0.0125 higher, worse" in turned
    assert "is not compared here" in page(ids=first.pk, baseline=4711)


def test_the_page_counts_the_shared_prompts(page, two):
    first, second = two
    text = page(ids=f"{first.pk},{second.pk}")
    counts = "".join(f'<td class="num">{count}</td>' for count in (2, 0, 1, 0, 1))
    assert counts in text
    assert "p = 1.0000, 1 differ" in text


def test_sections_show_only_what_differs_until_asked(page, two):
    first, _ = two
    other = make_run(config={"learning_rate": 0.0077})
    ids = f"{first.pk},{other.pk}"
    text = page(ids=ids)
    assert "0.0077" in text
    assert ">batch_size" not in text
    assert f'href="?ids={first.pk},{other.pk}&amp;full=config,summary#config"' in text
    full = page(ids=ids, full="config")
    assert ">batch_size" in full
    assert "Show only what differs" in full
    assert "≠ baseline" in full


def test_what_was_recorded_around_each_run_is_set_against_the_baseline(page):
    runs = [make_run() for _ in range(4)]
    for run, facts in zip(
        runs,
        [{"threads": 2, "hostname": "x"}, {"threads": 4, "hostname": "x"}, {"hostname": "x"}, {}],
        strict=True,
    ):
        Run.objects.filter(pk=run.pk).update(provenance=facts)
    text = page(ids=",".join(str(run.pk) for run in runs))
    provenance = text.split('id="provenance"')[1].split("</section>")[0]
    assert "threads" in provenance
    assert "could change the bits" in provenance
    assert "not recorded" in provenance
    assert "hostname" not in provenance
    assert f"Run {runs[3].pk} has recorded nothing yet" in provenance
    assert f"Run {runs[2].pk} has recorded" not in provenance


def test_unknown_runs_are_named_and_too_many_are_said(page, two):
    first, second = two
    text = page(ids=f"{first.pk},4711,{second.pk},4712")
    assert "There are no runs 4711, 4712." in text
    more = [make_run().pk for _ in range(20)]
    text = page(ids=",".join(map(str, [first.pk, second.pk, *more])))
    assert f"At most 20 runs fit side by side. Left out: {more[-2]}, {more[-1]}." in text
    assert f'href="/runs/{more[-3]}/"' in text
    assert f'href="/runs/{more[-2]}/"' not in text


def test_runs_are_added_by_number_or_name_and_removed(page, client, two):
    first, second = two
    answer = client.get("/runs/compare/", {"ids": first.pk, "add": second.pk, "baseline": second.pk})
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/runs/compare/?ids={first.pk},{second.pk}&baseline={second.pk}"
    text = page(ids=first.pk, add="SECON")
    assert f'href="?ids={first.pk},{second.pk}">Add run {second.pk}' in text
    assert "No other run has “nothing like it” in its name" in page(ids=first.pk, add="nothing like it")
    assert "There is no run 4711" in page(ids=first.pk, add="4711")
    both = page(ids=f"{first.pk},{second.pk}")
    assert f'href="?ids={second.pk}" aria-label="Remove run {first.pk}"' in both
    assert f'baseline={second.pk}" aria-label="Make run {second.pk} the baseline"' in both


def test_metrics_are_picked_in_the_address(page, two):
    first, _ = two
    text = page(ids=first.pk, metric="system/gpu_power,own/metric")
    assert 'data-names="own/metric"' in text
    assert 'data-unit="W"' in text
    assert 'data-names="train/loss"' not in text
    assert 'data-names="train/loss"' in page(ids=first.pk)


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_prompts_are_filtered_by_who_was_right(two, name):
    first, second = two
    third = training([graded("a"), graded("b", "3"), graded("c")])
    evaluations = [Evaluation.objects.get(run=run) for run in (first, second, third)]
    grades = read_grades(evaluations)
    prompts = list_prompts([grades[row.pk] for row in evaluations], grades[evaluations[0].pk])
    assert [one.held for one in prompts] == [3, 3, 2, 1]
    hashes = {one.trace_hash: "abcd"[at] for at, one in enumerate(prompts)}
    expected = {
        "disagree": "a",
        "baseline_right": "a",
        "baseline_wrong": "",
        "all_wrong": "b",
        "all_right": "c",
        "lacking": "cd",
        "all": "abcd",
    }
    found = choose(prompts, name, runs=3)
    assert "".join(hashes[one.trace_hash] for one in found) == expected[name]
    assert count_each(prompts, runs=3)[name] == len(found)


def test_the_same_prompts_stand_side_by_side(page, two):
    first, second = two
    text = page(ids=f"{first.pk},{second.pk}", prompts="lacking")
    assert "not in its evaluation" in text
    assert "2 prompts are in all 2" in text
    assert "There is no filter of prompts “odd”" in page(ids=first.pk, prompts="odd")
    assert "No prompt fits this filter" in page(ids=first.pk, prompts="all_wrong")


def test_runs_of_every_kind_and_state_can_be_compared(page, two):
    first, _ = two
    runs = [run_in(status, kind=kind) for kind, status in product(Kind, (Status.DRAFT, Status.FAILED))]
    text = page(ids=",".join(str(run.pk) for run in [first, *runs]))
    assert "without curves" in text


def test_an_evaluation_is_compared_by_what_it_graded_and_a_benchmark_by_its_record(page, two):
    first, second = two
    grader = make_run(kind=Kind.EVALUATE, parent=first)
    Evaluation.objects.filter(run=second).update(made_by=grader, answer_accuracy=0.123)
    bench = make_run(kind=Kind.BENCH)
    Benchmark.objects.create(
        run=bench,
        record={},
        device_name="a card",
        model="nano",
        batch_size=4,
        sequence_length=64,
        precision="fp32",
        step_time_median=0.015,
        tokens_per_second=54321.0,
        created_at=bench.created_at,
    )
    write_points(first, {1: 1.0, 2: 12345.0}, name="train/tokens_per_second")
    text = page(ids=f"{first.pk},{grader.pk},{bench.pk}")
    assert "12.3 %" in text
    assert "54,321" in text
    assert "+41,976 higher, better" in text


def test_what_people_and_models_wrote_is_text_and_never_markup(page):
    run = training([graded(WILD, WILD, correct=False, generated_steps=(WILD,))], name=WILD)
    text = page(ids=run.pk, prompts="all", add="<script>", metric="<b>")
    assert "<script>alert" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_table_is_exported_with_distances(client, viewer, two):
    client.force_login(viewer)
    first, second = two
    Run.objects.filter(pk=second.pk).update(name="=1+1")
    answer = client.get("/runs/compare/export.csv", {"ids": f"{first.pk},{second.pk}"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f"compare-{first.pk}-{second.pk}.csv" in answer.headers["Content-Disposition"]
    head, *rows = csv.reader(io.StringIO(answer.content.decode()))
    assert head[4:] == [
        f"run {first.pk} first",
        f"run {second.pk} =1+1",
        f"run {second.pk} against run {first.pk}",
    ]
    by_name = {row[1]: row for row in rows}
    assert by_name["final loss"][2:] == ["nats/token", "yes", "0.5000", "0.4875", "−0.0125 lower, better"]
    assert by_name["batch_size"][3] == "no"
    assert by_name[f"run {second.pk}"][2] == "n = 2, p = 1.0000"
    assert client.get("/runs/compare/export.csv").content == b"section,fact\r\n"


def test_figures_that_are_written_alike_and_differ_are_told_apart(client, viewer, two):
    client.force_login(viewer)
    first, second = two
    Run.objects.filter(pk=first.pk).update(final_loss=0.50001)
    Run.objects.filter(pk=second.pk).update(final_loss=0.50002)
    answer = client.get("/runs/compare/export.csv", {"ids": f"{first.pk},{second.pk}"})
    rows = {row[1]: row for row in csv.reader(io.StringIO(answer.content.decode()))}
    assert rows["final loss"][3:] == ["yes", "0.5000", "0.5000", "+1.00e-05 higher, worse"]
    assert [_points(value) for value in (0.0175, 0.0002)] == ["1.8 points", "0.02 points"]


def test_a_text_that_a_spreadsheet_would_work_out_is_made_harmless(client, viewer):
    client.force_login(viewer)
    run = make_run(dataset=None)
    Run.objects.filter(pk=run.pk).update(device_name="=cmd()", config={"a": "-1.5", "b": "@x", "=1+1": "c"})
    rows = list(
        csv.reader(io.StringIO(client.get("/runs/compare/export.csv", {"ids": run.pk}).content.decode()))
    )
    found = {row[1]: row[4] for row in rows[1:]}
    assert (found["device"], found["a"], found["b"]) == ("'=cmd()", "-1.5", "'@x")
    assert found["'=1+1"] == "c"


def test_a_comparison_costs_the_same_number_of_queries_however_many_runs(page, django_assert_max_num_queries):
    runs = [training([graded("a"), graded("b", str(number))]) for number in range(6)]
    for some in (runs[:2], runs):
        with django_assert_max_num_queries(12):
            page(ids=",".join(str(run.pk) for run in some), prompts="all")
