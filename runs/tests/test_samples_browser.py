"""Samples over time and comparisons in chromium: keys alone, links, filters, every width and theme."""

import pytest

from runs.models import Evaluation, Run
from runs.states import Status
from runs.tests.samples_support import graded, hash_of, training
from runs.tests.support import make_run, run_in, write_points
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = ["phone", "laptop", "wide"]
THEMES = ["light", "dark"]
LONG = "WithoutAnySpace" * 18
WILD = f"<b>x</b> שלום 🦜 {LONG}"


@pytest.fixture
def changing():
    return training(
        [graded("a", "1"), graded("b"), graded("c", "2")],
        [graded("a"), graded("b", "9"), graded("c", "2")],
        [graded("a"), graded("b", "8"), graded("c", generated_steps=("7+3=1",), steps_valid=(False,))],
        name="changing",
    )


@pytest.fixture
def huge():
    """Sixty evaluations of wild prompts, long answers and many steps."""
    prompts = [f"{number} {WILD}" for number in range(25)]
    steps = tuple(f"{LONG} {number}" for number in range(12))
    texts = {"generated_steps": steps, "generated_text": "\n".join(steps)}
    rounds = [
        [graded(one, "0" if at % 3 else LONG, **texts) for at, one in enumerate(prompts)] for _ in range(60)
    ]
    return training(*rounds, name=WILD[:300])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_samples_and_comparisons_fit_every_window(site, operator, changing, huge, width, theme):
    failed = run_in(Status.FAILED, name=LONG)
    Run.objects.filter(pk=failed.pk).update(error=LONG, reason="out of memory")
    wild = [make_run(name=f"{number} {WILD}"[:300]) for number in range(16)]
    everything = ",".join(str(run.pk) for run in [changing, huge, failed, *wild])
    paths = {
        "samples": f"/runs/{changing.pk}/samples/?with={huge.pk},{failed.pk}",
        "samples-huge": f"/runs/{huge.pk}/samples/?with={changing.pk}",
        "samples-none": f"/runs/{changing.pk}/samples/?q=nowhere",
        "samples-failed": f"/runs/{failed.pk}/samples/",
        "compare-none": "/runs/compare/",
        "compare-two-graded": f"/runs/compare/?ids={changing.pk},{huge.pk}&prompts=all",
        "compare-failed": f"/runs/compare/?ids={failed.pk}",
        "compare-huge": f"/runs/compare/?ids={everything}&full=summary,dataset,config&prompts=all",
    }
    page = site.open("/runs/", user=operator, theme=theme, width=width)
    for name, path in paths.items():
        page.goto(path)
        site.settle(page)
        assert fits(page), path
        shoot(page, f"{name}-{width}-{theme}")


def test_keys_alone_step_through_prompts_and_evaluations(site, viewer, changing):
    second = Evaluation.objects.order_by("pk")[1]
    page = site.open(f"/runs/{changing.pk}/samples/", user=viewer)
    place = page.locator("[data-place]")
    assert " ".join(place.inner_text().split()) == "Prompt 1 of 3 at step 30"
    page.evaluate("window.stayed = true")
    page.keyboard.press("j")
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 30").wait_for()
    page.keyboard.press("ArrowDown")
    page.locator("[data-place]", has_text="Prompt 3 of 3 at step 30").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("[")
    page.locator("[data-place]", has_text="Prompt 3 of 3 at step 20").wait_for()
    assert f"evaluation={second.pk}" in page.url
    assert hash_of("c")[:12] in page.url
    page.keyboard.press("ArrowUp")
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 20").wait_for()
    page.keyboard.press("]")
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 30").wait_for()
    page.go_back()
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 20").wait_for()
    assert page.evaluate("window.stayed")
    assert "step 20" in page.locator("p[role=status].visually-hidden").inner_text()
    page.get_by_label("Search in prompts").press("j")
    assert page.get_by_label("Search in prompts").input_value() == "j"
    assert " ".join(place.inner_text().split()) == "Prompt 2 of 3 at step 20"


def test_all_of_it_works_by_links_without_scripts(site, viewer, changing):
    page = site.open("/runs/", user=viewer)
    page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"/runs/{changing.pk}/samples/")
    page.get_by_role("link", name="next prompt").click()
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 30").wait_for()
    page.get_by_role("link", name="[ step 20").click()
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 20").wait_for()
    page.get_by_role("link", name="Became wrong 1").click()
    page.locator("[data-place]", has_text="Prompt 1 of 1 at step 20").wait_for()
    page.get_by_label("Search in prompts").fill("nowhere")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("No prompt fits the search").wait_for()
    page.get_by_role("link", name="Clear the search").click()
    page.locator("[data-place]", has_text="Prompt 1 of 1 at step 20").wait_for()
    page.get_by_role("link", name="Permalink").click()
    page.wait_for_url("**prompt=" + hash_of("b")[:12])
    page.get_by_text("became wrong", exact=True).last.wait_for()


def test_the_chosen_evaluation_is_in_sight_among_many(site, viewer, huge):
    page = site.open(f"/runs/{huge.pk}/samples/", user=viewer)
    site.settle(page)
    inside = """() => {
        const box = document.querySelector('table.matrix thead th.chosen').getBoundingClientRect();
        const frame = document.querySelector('.samples-list .table-scroll').getBoundingClientRect();
        return box.left >= frame.left && box.right <= frame.right + 1;
    }"""
    assert page.evaluate(inside)
    page.keyboard.press("[")
    page.get_by_text("at step 590").first.wait_for()
    assert page.evaluate(inside)


def test_a_page_that_cannot_be_fetched_is_opened_as_a_page(site, viewer, changing):
    page = site.open(f"/runs/{changing.pk}/samples/", user=viewer)
    page.evaluate("() => { window.fetch = () => Promise.reject(new Error('away')); }")
    page.keyboard.press("j")
    page.locator("[data-place]", has_text="Prompt 2 of 3 at step 30").wait_for()


def test_runs_are_compared_without_leaving_the_keyboard(site, viewer, changing):
    other = training([graded("a", "5"), graded("b")], name="the other")
    for run in (changing, other):
        write_points(run, {step: 1.0 / step for step in range(1, 21)})
    page = site.open(f"/runs/compare/?ids={changing.pk}", user=viewer)
    page.get_by_label("Add runs by number").fill("other")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=f"Add run {other.pk}").press("Enter")
    page.get_by_role("link", name=f"Make run {other.pk} the baseline").press("Enter")
    page.wait_for_url(f"**ids={changing.pk},{other.pk}&baseline={other.pk}")
    site.settle(page)
    page.get_by_text(f"run {other.pk}").first.wait_for()
    assert "20 of 20 points" in page.locator(".chart-note").first.inner_text()
    assert "points lower, worse" in page.inner_text("#summary") or "points higher, better" in page.inner_text(
        "#summary"
    )
    page.get_by_role("link", name="Show only what differs").first.press("Enter")
    page.wait_for_url("**full=none**")
    assert "kind" not in page.locator("#summary tbody").inner_text()
    page.get_by_label("Metrics, separated by commas").fill("train/loss")
    page.keyboard.press("Enter")
    page.wait_for_url("**metric=train%2Floss**")
    assert page.locator("canvas[data-chart]").count() == 1
    page.get_by_role("link", name=f"Remove run {changing.pk}").press("Enter")
    page.wait_for_url(f"**ids={other.pk}**")
    assert page.locator(".compare-list li").count() == 1


def test_a_comparison_whose_curves_cannot_be_read_says_so(site, viewer, changing):
    page = site.open("/runs/", user=viewer)
    page.route(
        "**/metrics?*", lambda route: route.fulfill(status=200, body="{}", content_type="application/json")
    )
    page.goto(f"/runs/compare/?ids={changing.pk}")
    page.get_by_text("The curves could not be read").wait_for()
