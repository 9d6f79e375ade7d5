"""Recipe files: what they hold, what is refused, and that another database repeats the run."""

import json
import tomllib

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs.models import Run
from runs.recipes.files import config_hash, parse_recipe, verdict_on, write_recipe
from runs.states import Kind
from runs.tests.support import fresh, make_dataset, make_run, manage, manage_json, with_jax
from runs.tests.training_support import SMOKE
from training.config import BASE_FIELDS, TrainConfig, make_config
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    """A completed training, as the database holds it."""
    made = make_run(
        dataset=make_dataset(), name="a “name” with \\ and \x7f", config={"final_learning_rate": 1e-5}
    )
    Run.objects.filter(pk=made.pk).update(params_hash="ab" * 32, step=made.total_steps, final_loss=0.25)
    return fresh(made)


def changed(run, old, new):
    text = write_recipe(run)
    assert old in text
    return text.replace(old, new, 1).encode()


def test_a_recipe_holds_every_field_the_data_and_the_end(run):
    text = write_recipe(run)
    found = tomllib.loads(text)
    assert found["config"] == run.config
    assert found["name"] == run.name
    assert found["dataset"]["content_hash"] == run.dataset.content_hash
    assert found["dataset"]["get"] == "manage.py seed_dataset --dataset golden-v2 --count 20 --seed 0"
    recipe = parse_recipe(text.encode())
    assert recipe.config == make_config(run.config)
    assert recipe.expected["params_hash"] == "ab" * 32
    assert recipe.dataset() == run.dataset


def without_base_fields(text):
    lines = text.splitlines()
    return "\n".join(one for one in lines if one.partition(" =")[0] not in BASE_FIELDS).encode()


def test_a_file_from_before_base_models_still_trains_from_scratch(run):
    text = write_recipe(run)
    recipe = parse_recipe(without_base_fields(text))
    assert recipe.config == make_config(run.config)
    based = text.replace('model = "nano"', 'model = "qwen@0123456789ab"')
    with pytest.raises(InvalidInputError, match=r"config lacks lora_alpha, .*, system_prompt"):
        parse_recipe(without_base_fields(based))


def test_a_system_prompt_of_several_lines_goes_through_a_recipe(run):
    prompt = 'Say "why".\n\n\tThen answer.\r\nEnd \\ '
    Run.objects.filter(pk=run.pk).update(config={**run.config, "system_prompt": prompt})
    assert parse_recipe(write_recipe(fresh(run)).encode()).config.system_prompt == prompt


def test_a_changed_config_is_another_recipe_and_expects_nothing(run):
    recipe = parse_recipe(changed(run, "final_learning_rate = 1e-05", "final_learning_rate = 0.0002"))
    assert recipe.config.final_learning_rate == 0.0002
    assert recipe.expected == {}


# Generated data have a seed too.
SEED = f"# {TrainConfig.model_fields['seed'].description}\nseed = 0"
BAD = [
    ("recipe_version = 1", "recipe_version = 9", "recipe_version is 9"),
    ("recipe_version = 1", "", "recipe_version: Field required"),
    ("recipe_version = 1", "recipe_version = 1\nsurprise = 2", "surprise: Extra inputs"),
    ("made_from_run = ", "made_from_run = 1.5 # ", "made_from_run: Input should be a valid integer"),
    ("[dataset]", "[data]", "dataset.key: Field required"),
    ("content_hash = ", "hash = ", "dataset.content_hash: Field required"),
    ("[config]", "[konfig]", "config: Field required"),
    (SEED, "", "config lacks seed"),
    (SEED, "seed = -1", "seed: Input should be greater"),
    (SEED, "sead = 0\nseed = 0", "sead: Extra inputs"),
    ("recipe_version = 1", "recipe_version = true", "recipe_version is True"),
    ("steps = 10", "steps = true", "config.steps is true; it takes a whole number"),
    ("packing = true", 'packing = "no"', 'config.packing is "no"; it takes true or false'),
    (SEED, 'seed = "0"', "config.seed is"),
    (SEED, "seed = 0.0", "config.seed is 0.0; it takes"),
    ("final_loss = 0.25", "final_loss = nan", "expected.final_loss: Input should be a finite number"),
    ("[expected]", "[expected]\nstep = 'x'", "no TOML"),
    ("[dataset]", "[dataset", "no TOML"),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD)
def test_a_file_that_is_not_wholly_understood_is_refused_by_name(run, old, new, said):
    with pytest.raises(InvalidInputError, match=said):
        parse_recipe(changed(run, old, new))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_other_file_is_refused_with_one_message(raw):
    with pytest.raises(InvalidInputError):
        parse_recipe(raw)


def test_data_that_are_not_there_are_named_with_the_way_to_get_them(run):
    recipe = parse_recipe(write_recipe(run).encode())
    Run.objects.all().delete()
    Dataset.objects.all().delete()
    other = seed_dataset(key="golden-v2", count=10).dataset
    with pytest.raises(NotFoundError) as refused:
        recipe.dataset()
    said = str(refused.value)
    assert recipe.content_hash[:12] in said
    assert other.address in said
    assert "seed_dataset --dataset golden-v2 --count 20 --seed 0" in said


def test_what_has_no_recipe_says_why(run):
    with pytest.raises(ConflictError, match="no training"):
        write_recipe(make_run(kind=Kind.BENCH))
    with pytest.raises(ConflictError, match=f"Export the run that it came from: run {run.pk}"):
        write_recipe(make_run(dataset=run.dataset, parent=run, parent_step=5, resume_path="/x/5"))


def test_a_run_taken_up_from_a_checkpoint_of_its_own_still_has_a_recipe(run):
    Run.objects.filter(pk=run.pk).update(resume_path=f"{run.checkpoint_dir}/5", resume_attempt=2)
    assert parse_recipe(write_recipe(fresh(run)).encode()).expected["params_hash"] == "ab" * 32


def test_an_end_that_the_recipe_alone_does_not_reach_is_not_expected(run):
    part = Run.objects.get(pk=make_run(dataset=run.dataset, total_steps=4).pk)
    Run.objects.filter(pk=part.pk).update(params_hash="ab" * 32, step=4)
    assert parse_recipe(write_recipe(fresh(part)).encode()).expected == {}
    run.attempts.create(number=2, start_step=5, inexact="threads 2 → 1", host="h", device="cpu:0")
    assert parse_recipe(write_recipe(run).encode()).expected == {}


def test_a_whole_number_stands_for_a_rate(run):
    recipe = parse_recipe(changed(run, "weight_decay = 0.1", "weight_decay = 0"))
    assert recipe.config.weight_decay == 0.0


def test_a_run_from_a_recipe_knows_whether_it_ended_as_expected(run):
    recipe = parse_recipe(write_recipe(run).encode())
    made = make_run(dataset=run.dataset, params=recipe.params(), config={"final_learning_rate": 1e-5})
    assert verdict_on(made) is None
    made.step, made.params_hash = made.total_steps, "ab" * 32
    assert verdict_on(made) is True
    made.params_hash = "cd" * 32
    assert verdict_on(made) is False


def test_the_hash_of_a_config_is_over_every_field():
    assert config_hash(TrainConfig()) == config_hash(make_config({}))
    assert config_hash(TrainConfig()) != config_hash(make_config({"seed": 1}))


def test_the_command_writes_the_file_and_says_where(run, tmp_path, capsys):
    file = tmp_path / "r.toml"
    call_command("export_recipe", str(run.pk), "-o", str(file), "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["run_id"], said["file"]) == (run.pk, str(file))
    assert parse_recipe(file.read_bytes()).sha256 == said["sha256"]
    call_command("export_recipe", str(run.pk))
    assert capsys.readouterr().out == file.read_text()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_recipe", str(run.pk), "-o", str(tmp_path / "no" / "r.toml"))


def test_the_recipe_can_be_loaded_down(run, client, admin_client):
    answer = admin_client.get(f"/api/training/runs/{run.pk}/recipe")
    assert answer.status_code == 200
    assert answer.content.decode() == write_recipe(run)
    assert "attachment" in answer["Content-Disposition"]
    assert client.get(f"/api/training/runs/{run.pk}/recipe").status_code == 401


@pytest.mark.parametrize(
    "flags", [["--steps=5"], ["--set=seed=1"], ["--dataset=golden-v2"], ["--resume-from=1"]]
)
def test_flags_that_would_change_a_recipe_are_refused(run, tmp_path, flags):
    file = tmp_path / "r.toml"
    file.write_text(write_recipe(run))
    with pytest.raises(CommandError, match=r"does not go with --\w") as refused:
        call_command("train", "--recipe", str(file), *flags)
    assert refused.value.returncode == 2


@with_jax
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("dataset")
def test_another_database_repeats_the_run_to_the_bit(tmp_path, monkeypatch):
    first = manage_json("train", *SMOKE, "--foreground")
    file = tmp_path / "recipe.toml"
    manage_json("export_recipe", str(first["run_id"]), "-o", str(file))

    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'other.sqlite3'}")
    assert manage("migrate", "--verbosity=0").returncode == 0
    # The recipe says how its data are generated, and there are none yet.
    second = manage_json("train", "--recipe", str(file), "--foreground", "--device=cpu")
    assert second["params_hash"] == first["params_hash"]
    assert second["content_hash"] == first["content_hash"]
    assert second["as_the_recipe_expects"] is True
