"""``import_model`` in the hands of people: what it prints, and how it refuses."""

import json
import shutil

import pytest
from django.core.management import CommandError, call_command

from runs.base_models.tests.hub_server import small_hub
from runs.base_models.tests.support import FILES
from runs.models import BaseModel
from training import bases
from training.hf.tests.folders import model_folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path / "Mini-1", "llama", files=FILES)


def test_a_folder_is_imported_and_again_changes_nothing(folder, capsys):
    call_command("import_model", str(folder), "--json")
    said = json.loads(capsys.readouterr().out)
    row = BaseModel.objects.get()
    assert said == {
        "name": "mini-1",
        "reference": row.reference,
        "content_hash": row.content_hash,
        "family": "llama",
        "parameters": 28_384,
        "files": row.files,
        "created": True,
        "mended": [],
    }
    call_command("import_model", str(folder), "--json")
    assert json.loads(capsys.readouterr().out) == {**said, "created": False}


def test_it_says_what_came_of_it_and_how_to_go_on(folder, capsys):
    call_command("import_model", str(folder), "--name", "mine")
    out = capsys.readouterr().out
    reference = BaseModel.objects.get().reference
    assert f"Imported {reference}: llama, 28,384 parameters, 0.1 MiB in F32." in out
    assert f"manage.py train --model {reference} --dataset KEY" in out


def test_what_lies_in_the_artifacts_is_taken_up(folder, capsys):
    call_command("import_model", str(folder))
    BaseModel.objects.all().delete()
    capsys.readouterr()
    call_command("import_model", "--scan", "--json")
    assert json.loads(capsys.readouterr().out) == {"found": [BaseModel.objects.get().reference]}


def test_damage_is_found_by_reading_all_and_mended_by_importing_again(folder, capsys):
    call_command("import_model", str(folder))
    row = BaseModel.objects.get()
    file = bases.root() / row.content_hash / "tokenizer.json"
    call_command("import_model", "--verify", "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"verified": 1, "damaged": {}}
    file.write_text("[]")
    with pytest.raises(CommandError, match="1 of 1 base models are damaged") as refused:
        call_command("import_model", "--verify", "--json")
    assert refused.value.returncode == 1
    assert json.loads(capsys.readouterr().out)["damaged"] == {row.reference: ["tokenizer.json"]}
    call_command("import_model", str(folder))
    assert "was here. Mended what was damaged: tokenizer.json." in capsys.readouterr().out
    assert file.read_text() == "{}"
    file.unlink()
    with pytest.raises(CommandError, match="damaged"):
        call_command("import_model", "--verify")
    assert f"{row.content_hash}: DAMAGED: {bases.RECORD_NAME}." in capsys.readouterr().out


def test_a_repository_comes_with_a_token_from_a_file(folder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("huggingface_hub")
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    with small_hub(folder) as server:
        server.gated_by = "secret-token"
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        call_command("import_model", "owner/model", "--revision", "v1", "--token_file", str(token))
    assert BaseModel.objects.get().source == "owner/model"
    assert "secret-token" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Name a folder or a repository"),
        (["--scan", "somewhere"], 2, "nothing beside them"),
        (["nowhere"], 1, "There is no folder nowhere"),
        (["{folder}/config.json"], 1, "is a file"),
        (["{folder}", "--revision", "v1"], 1, "--revision is for the hub"),
        (["{folder}", "--name", "nano"], 1, "a preset has this name"),
        (["owner/model", "--token-file", "nowhere"], 1, "token file nowhere cannot be read"),
        (["owner/model", "--token-file", "{folder}/two"], 1, "must hold one token"),
        (["{folder}/empty"], 1, "no folder of a Hugging Face model"),
    ],
)
def test_what_it_cannot_do_it_says_in_one_line(folder, words, code, said):
    (folder / "empty").mkdir()
    (folder / "two").write_text("one two")
    with pytest.raises(CommandError) as refused:
        call_command("import_model", *(word.format(folder=folder) for word in words))
    assert refused.value.returncode == code
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not BaseModel.objects.exists()


def test_a_site_without_the_hubs_library_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(CommandError, match="Install the extra `models`, or import a folder"):
        call_command("import_model", "owner/model")
    call_command("import_model", str(shutil.copytree(folder, folder.with_name("copy"))))
