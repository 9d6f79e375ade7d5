"""The recipes that come with the project: whole, found by name, started from everywhere, measured."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs.management.commands.train import report
from runs.models import Run
from runs.recipes.figures import Figure, measure
from runs.recipes.getting import get_dataset
from runs.recipes.shipped import find_recipe, names, newest_runs, shipped, start
from runs.states import Status
from runs.tests.samples_support import graded, training
from runs.tests.support import make_run, run_in, with_jax
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_shipped_recipe_is_whole_and_says_what_it_expects():
    found = shipped()
    assert {"chain", "chain-answer-only", "cups", "addition-scratchpad", "addition-paper-plain"} <= set(found)
    assert all(recipe.name and recipe.about and recipe.figures for recipe in found.values())
    assert len({recipe.sha256 for recipe in found.values()}) == len(found)


@pytest.mark.parametrize("family", ["chain", "cups"])
def test_the_two_arms_differ_in_what_is_supervised_and_in_nothing_else(family):
    traces, answers = (find_recipe(name) for name in (family, f"{family}-answer-only"))
    assert traces.content_hash == answers.content_hash
    assert traces.config.model_copy(update={"target": "answer"}) == answers.config


def test_the_additions_differ_in_their_form_alone():
    forms = [find_recipe(f"addition-{form}") for form in ("plain", "reversed", "scratchpad")]
    assert len({recipe.config for recipe in forms}) == 1
    assert len({recipe.content_hash for recipe in forms}) == 3


@pytest.mark.parametrize("name", ["chain", "cups"])
def test_data_that_can_be_generated_are_made_once_and_are_those_of_the_recipe(name):
    recipe = find_recipe(name)
    made = get_dataset(recipe)
    assert made.content_hash == recipe.content_hash
    assert made.test_count >= 500
    assert get_dataset(recipe) == made
    assert Dataset.objects.count() == 1


def test_data_of_another_version_of_the_generator_are_refused():
    recipe = find_recipe("chain")
    other = type(recipe)(
        **{name: getattr(recipe, name) for name in recipe.__slots__} | {"content_hash": "ab" * 32}
    )
    with pytest.raises(ConflictError, match="its generator has changed"):
        get_dataset(other)


def test_data_of_others_are_named_with_the_commands_that_get_them():
    with pytest.raises(NotFoundError) as refused:
        get_dataset(find_recipe("addition-scratchpad"))
    assert "import_traces train_3digit_2000.txt" in str(refused.value)
    assert "--solve addition_scratchpad" in str(refused.value)


def test_the_authors_files_give_the_content_of_the_recipes():
    given = os.environ.get("TUNIX_TEST_DATA")
    if not given:
        pytest.skip("TUNIX_TEST_DATA does not name the folder with the real data sets")
    for name in ("addition-plain", "addition-reversed", "addition-scratchpad"):
        recipe = find_recipe(name)
        for line in recipe.get_dataset.splitlines():
            _, command, file, *flags = line.split()
            call_command(command, str(Path(given) / "teaching_arithmetic" / file), *flags, "--json")
        assert get_dataset(recipe).content_hash == recipe.content_hash


def test_a_name_that_is_none_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(NotFoundError, match=r"no recipe 'chian'.*Shipped: addition-paper-plain"):
        find_recipe("chian")
    with pytest.raises(NotFoundError, match="no shipped recipe"):
        start(str(tmp_path), device="cpu", origin="", actor=None)
    broken = tmp_path / "r.toml"
    broken.write_text("recipe_version = 1")
    with pytest.raises(InvalidInputError, match="Field required"):
        find_recipe(str(broken))
    with pytest.raises(CommandError, match="no recipe 'chian'"):
        call_command("train", "--recipe", "chian")


def test_a_figure_must_say_something():
    with pytest.raises(ValueError, match="at_least, at_most or published"):
        Figure(metric="eval/answer_accuracy")


BOUNDS: list[tuple[dict[str, Any], bool | None]] = [
    ({"at_least": 0.5}, True),
    ({"at_least": 0.97}, False),
    ({"at_most": 0.4}, False),
    ({"at_most": 0.97, "at_least": 0.4}, True),
    ({"published": 0.3}, None),
]


@pytest.mark.parametrize(("bounds", "met"), BOUNDS)
def test_what_a_run_came_to_stands_beside_what_its_recipe_expects(bounds, met):
    figure = {"metric": "eval/answer_accuracy", **bounds}
    kept = {"recipe": {"sha256": "x", "figures": [figure]}}
    assert [(one.value, one.met) for one in measure(run_in(Status.QUEUED, params=kept))] == [(None, None)]
    run = training([graded("1+1"), graded("1+2", "3"), graded("1+3")], params=kept)
    [one] = measure(run)
    assert one.evaluation is not None
    assert one.value == pytest.approx(2 / 3)
    assert one.met is met


@pytest.fixture
def few(monkeypatch):
    """Recipes whose data are small and there."""
    dataset = seed_dataset(key="golden-v2", count=20).dataset
    recipe = find_recipe("chain")
    changed = replace(recipe, dataset_key=dataset.key, content_hash=dataset.content_hash)
    monkeypatch.setattr("runs.recipes.shipped.read_recipe", lambda path: changed)


@with_jax
def test_the_page_starts_a_recipe_for_those_who_may(client, operator, viewer, few):
    client.force_login(viewer)
    text = page_text(client.get("/recipes/"))
    assert "chain, with traces" in text
    assert "Not trained here yet" in text
    assert 'action="/recipes/chain/train/"' not in text
    assert client.post("/recipes/chain/train/").status_code == 403
    client.force_login(operator)
    assert 'action="/recipes/chain/train/"' in page_text(client.get("/recipes/"))
    answer = client.post("/recipes/chain/train/", {"device": "cpu"})
    [run] = Run.objects.all()
    assert (answer.status_code, answer.url) == (302, f"/runs/{run.pk}/")
    assert (run.status, run.config["steps"], run.owner) == (Status.QUEUED, 600, operator)
    assert newest_runs({"chain": shipped()["chain"]}) == {"chain": [run]}
    assert f"run {run.pk}" in page_text(client.get("/recipes/"))
    assert "expected at least 97.0%" in page_text(client.get(f"/runs/{run.pk}/recipe/"))


def test_many_trainings_of_one_recipe_hide_none_of_another():
    known = {name: shipped()[name] for name in ("chain", "cups")}
    kept = {name: recipe.params() for name, recipe in known.items()}
    cups = make_run(params=kept["cups"])
    chains = [make_run(params=kept["chain"]) for _ in range(5)]
    assert newest_runs(known) == {"chain": chains[:1:-1], "cups": [cups]}


def test_what_cannot_start_says_why_on_the_page(client, operator):
    client.force_login(operator)
    text = page_text(client.post("/recipes/addition-plain/train/", {"device": "cpu"}, follow=True))
    assert "The recipe&#x27;s dataset authors-addition-plain@" in text
    assert "no shipped recipe" in page_text(client.post("/recipes/none/train/", follow=True))
    odd = page_text(client.post("/recipes/chain/train/", {"device": "banana"}, follow=True))
    assert "it is cpu, gpu or left out" in odd
    assert client.get("/recipes/chain/train/").status_code == 405
    assert not Run.objects.exists()


@with_jax
def test_the_admin_has_a_form_for_it(client, administrator, few):
    client.force_login(administrator)
    assert "Train a recipe" in page_text(client.get("/admin/runs/run/"))
    assert "chain: chain, with traces" in page_text(client.get("/admin/runs/run/recipe/"))
    text = page_text(
        client.post("/admin/runs/run/recipe/", {"recipe": "chain", "device": "cpu"}, follow=True)
    )
    [run] = Run.objects.all()
    assert f"Run {run.pk} trains the recipe chain." in text
    refused = client.post("/admin/runs/run/recipe/", {"recipe": "chian", "device": "cpu"})
    assert "Select a valid choice" in page_text(refused)


@with_jax
def test_the_api_lists_and_trains_recipes(client, token_headers, few):
    read, operate = token_headers("read"), token_headers("operate")
    address = "/api/training/recipes"
    listed = client.get(address, headers=read).json()
    listed_names = [one["name"] for one in listed]
    assert sorted(listed_names) == names()
    assert (listed_names[0], listed_names[-1]) == ("chain", "addition-paper-scratchpad")
    assert listed[0]["figures"]

    def train(name: str, headers: dict[str, str]) -> Any:
        return client.post(f"{address}/{name}/train", {"device": "cpu"}, "application/json", headers=headers)

    made = train("chain", operate)
    assert made.status_code == 201
    assert Run.objects.get(pk=made.json()["id"]).params["recipe"]["figures"]
    unknown = train("x", operate)
    assert (unknown.status_code, "no shipped recipe" in unknown.json()["detail"]) == (404, True)
    assert train("chain", read).status_code == 403


@with_jax
def test_the_command_tells_the_figures(few, capsys):
    run = start("chain", device="cpu", origin="", actor=None)
    said = json.loads(json.dumps(report(run)))
    assert said["figures"][0]["at_least"] == 0.97
    assert said["figures"][0]["measured"] is None
