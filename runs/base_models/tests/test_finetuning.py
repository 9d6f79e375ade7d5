"""Fine-tuning by service, command and button: the recipe that is made, what is refused, what is queued."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from runs.base_models.finetuning import default_fields, finetune, fit_of, require_room
from runs.base_models.importing import import_folder
from runs.devices import Device
from runs.management.commands.finetune import FIGURES
from runs.models import Run
from runs.states import Status
from runs.tests.support import make_dataset, with_jax
from training import bases
from training.config import make_config
from training.hf.families import model_config_from_hf
from training.hf.tests.folders import model_folder
from training.hf.tests.published import PUBLISHED
from tunix_site.errors import InvalidInputError, NotFoundError, UserError
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

GIB = 2**30
CARD = Device("gpu", 0, name="a card", memory_bytes=12 * GIB)
LLAMA = model_config_from_hf(PUBLISHED["Llama-3.2-1B"][1])


@pytest.fixture
def row(tmp_path):
    files = {"tokenizer.json": "{}", "chat_template.jinja": "{{ messages }}"}
    return import_folder(model_folder(tmp_path / "mine", "qwen3", files=files)).row


@pytest.fixture
def plain(tmp_path):
    return import_folder(model_folder(tmp_path / "plain", "llama", files={"tokenizer.json": "{}"})).row


def fields(row, method="lora", device=CARD, shape=LLAMA):
    return default_fields(row, shape, method=method, device=device)


def test_the_defaults_of_each_method(row):
    for method, rate in (("lora", 2e-4), ("qlora", 2e-4), ("full", 1e-5)):
        config = make_config(fields(row, method))
        assert (config.model, config.method, config.learning_rate) == (row.reference, method, rate)
        assert config.final_learning_rate == pytest.approx(rate / 10)
        assert (config.weight_decay, config.clip_norm, config.warmup_share) == (0, 1, 0.03)
        assert (config.remat, config.micro_batch) == ("block", "auto")


def test_steps_are_thought_where_there_is_a_chat_template(row, plain):
    assert fields(row)["reasoning"] == "think"
    assert fields(plain)["reasoning"] == "plain"


def test_as_many_texts_are_graded_together_as_the_card_holds(row):
    small = Device("gpu", 0, name="small", memory_bytes=4 * GIB)
    assert fields(row, device=small)["eval_batch_size"] < fields(row)["eval_batch_size"] <= 64


def test_what_cannot_fit_is_refused_with_what_needs_less(row, monkeypatch):
    monkeypatch.setattr(bases, "model_shape", lambda model: LLAMA)
    config = make_config(fields(row, "full"))
    fit = fit_of(config, CARD)
    assert fit.is_hopeless
    assert "gpu:0 has 12.0 GiB: too little." in fit.words
    with pytest.raises(UserError, match=r"(?s)too little.*--method lora"):
        require_room(fit, config)
    lora = make_config(fields(row))
    require_room(fit_of(lora, CARD), lora)
    assert "how much gpu:0 has is not known" in fit_of(lora, Device("gpu", 0)).words
    # Where the guessed margin alone is too much, the compiled plan has the last word.
    near = fit_of(lora, CARD).estimate
    tight = fit_of(lora, Device("gpu", 0, memory_bytes=near.total - near.margin // 2))
    assert not tight.is_hopeless
    assert tight.words.endswith("it may be too little.")


@with_jax
def test_the_service_queues_a_run_of_the_frozen_recipe(row, operator):
    make_dataset()
    run = finetune("mine", dataset="golden-v2", steps=7, device="cpu", actor=operator)
    assert run.status == Status.QUEUED
    assert run.config["model"] == row.reference
    assert (run.config["method"], run.config["evaluate_first"], run.config["steps"]) == ("lora", True, 7)
    assert (run.name, run.total_steps, run.owner) == ("mine on golden-v2", 7, operator)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"address": "other"}, NotFoundError, "There are: mine@"),
        ({"dataset": "nothing"}, NotFoundError, "There is no dataset"),
        ({"method": "half"}, InvalidInputError, "lora, qlora, full"),
    ],
)
def test_what_there_is_not_is_named(row, changes, error, said):
    make_dataset()
    asked = {"address": "mine", "dataset": "golden-v2", **changes}
    with pytest.raises(error, match=said):
        finetune(asked.pop("address"), **asked)
    assert not Run.objects.exists()


def run_command(*words):
    out, err = io.StringIO(), io.StringIO()
    call_command("finetune", *words, stdout=OutputWrapper(out), stderr=OutputWrapper(err))
    return out.getvalue(), err.getvalue()


@with_jax
def test_the_command_takes_the_flags_of_train(row):
    make_dataset()
    words = ["mine", "--dataset", "golden-v2", "--device", "cpu", "--detach", "--json", "--evaluate-base"]
    out, err = run_command(*words, "--steps", "9", "--set", "batch_size=4", "--method", "qlora")
    told = json.loads(out)
    run = Run.objects.get(pk=told["run_id"])
    config = run.config
    assert (config["method"], config["steps"], config["batch_size"]) == ("qlora", 9, 4)
    assert (config["learning_rate"], config["evaluate_first"], config["reasoning"]) == (2e-4, True, "think")
    assert {told[name] for name in FIGURES} == {None}
    assert "An update needs about" in err


@with_jax
def test_set_alone_chooses_the_defaults_of_its_method(row):
    make_dataset()
    words = ["mine", "--dataset", "golden-v2", "--device", "cpu", "--detach", "--json"]
    told = json.loads(run_command(*words, "--set", "method = full", "--set", "reasoning=plain")[0])
    config = Run.objects.get(pk=told["run_id"]).config
    assert (config["method"], config["learning_rate"], config["reasoning"]) == ("full", 1e-5, "plain")


@with_jax
def test_the_command_refuses_what_cannot_fit_unless_forced(row, monkeypatch):
    make_dataset()
    small = Device("cpu", 0, name="small", memory_bytes=2**20)
    monkeypatch.setattr("runs.launching.resolve_device", lambda **_: small)
    words = ["mine", "--dataset", "golden-v2", "--detach"]
    with pytest.raises(CommandError, match=r"too little(?s:.*)--force") as caught:
        run_command(*words)
    assert caught.value.returncode == 1
    assert not Run.objects.exists()
    run_command(*words, "--force")
    assert Run.objects.get().status == Status.QUEUED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine"], "Give --dataset KEY"),
        (["mine", "--dataset", "golden-v2", "--model", "nano"], "does not go with --model"),
        (["mine", "--dataset", "golden-v2", "--recipe", "chain"], "does not go with --recipe"),
        (
            ["mine", "--dataset", "golden-v2", "--method", "lora", "--set", "method=full"],
            "method is given by --method and by --set",
        ),
        (
            ["mine", "--dataset", "golden-v2", "--reasoning", "plain", "--set", "reasoning=think"],
            "reasoning is given by --reasoning and by --set",
        ),
        (
            ["mine", "--dataset", "golden-v2", "--evaluate-base", "--set", "evaluate_first=false"],
            "evaluate_first is given by --evaluate-base and by --set",
        ),
        (["mine", "--resume-from", "latest"], "train --resume-from RUN"),
    ],
)
def test_the_command_says_what_does_not_go_together(words, said):
    with pytest.raises(CommandError, match=said) as caught:
        run_command(*words)
    assert caught.value.returncode == 2


@with_jax
def test_the_button_queues_a_run_and_shows_it(client, operator, row):
    make_dataset()
    client.force_login(operator)
    form = {"dataset": "golden-v2", "method": "lora", "steps": "5", "reasoning": "plain", "device": "cpu"}
    answer = client.post(f"/models/{row.reference}/fine-tune/", {**form, "evaluate_base": "1"})
    run = Run.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.pk}/")
    assert run.config["evaluate_first"] is True
    assert (run.config["reasoning"], run.total_steps, run.owner) == ("plain", 5, operator)
    client.post(f"/models/{row.reference}/fine-tune/", form)
    assert Run.objects.latest("pk").config["evaluate_first"] is False


@pytest.mark.parametrize(
    ("form", "said"),
    [({"steps": "many"}, "no whole number"), ({"dataset": "nothing"}, "There is no dataset")],
)
def test_a_bad_form_leads_back_with_the_reason(client, operator, row, form, said):
    make_dataset()
    client.force_login(operator)
    answer = client.post(f"/models/{row.reference}/fine-tune/", {"dataset": "golden-v2", **form}, follow=True)
    assert answer.redirect_chain[0][0] == row.get_absolute_url()
    assert said in str(answer.content, "utf-8")
    assert not Run.objects.exists()


def test_the_page_of_a_model_has_the_form_and_the_table(client, operator, row):
    make_dataset()
    client.force_login(operator)
    text = page_text(client.get(row.get_absolute_url(), {"card": "24"}))
    assert f'action="/models/{row.reference}/fine-tune/"' in text
    assert "<option>golden-v2</option>" in text
    assert '<option value="think" selected>' in text
    assert 'name="evaluate_base" value="1" checked' in text
    assert "fits into 24 GB" in text


def test_without_a_dataset_the_form_says_how_to_get_one(client, operator, row):
    client.force_login(operator)
    assert "There is no dataset yet" in page_text(client.get(row.get_absolute_url()))


def test_viewers_get_the_table_without_the_form_and_may_not_start(client, viewer, row):
    client.force_login(viewer)
    text = page_text(client.get(row.get_absolute_url()))
    assert "What fits into memory" in text
    assert "fine-tune/" not in text
    assert client.post(f"/models/{row.reference}/fine-tune/", {"dataset": "golden-v2"}).status_code == 403


def test_a_model_that_there_is_not_cannot_be_fine_tuned(client, operator):
    client.force_login(operator)
    assert client.post("/models/nothing/fine-tune/", {"dataset": "golden-v2"}).status_code == 404
