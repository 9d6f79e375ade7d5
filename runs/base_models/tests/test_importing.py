"""Rows of base models: written once a content, found by name and hash, kept while runs name them."""

import hashlib
import importlib
import os
import shutil

import pytest
from django.apps import apps

from runs.base_models.importing import import_folder, scan
from runs.base_models.licences import read_told
from runs.base_models.naming import check_name, is_repository, suggest_name
from runs.base_models.selectors import Users, find_row, runs_by_base, runs_of
from runs.base_models.tests.support import FILES, import_tiny, run_from
from runs.creating import create_run
from runs.devices import Device
from runs.models import BaseModel, Run
from runs.states import Kind
from runs.tests.support import make_run
from training import bases
from training.config import make_config
from training.hf.tests.folders import model_folder
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_the_row_says_what_the_record_says(tmp_path, operator):
    place = model_folder(tmp_path / "Tiny Model!", "gemma3", dtype="BF16", files=FILES)
    imported = import_folder(place, actor=operator)
    row = imported.row
    record = bases.find_base(row.reference).record
    assert imported.created
    assert imported.notes == []
    assert row.name == record.name == "tiny-model"
    assert (row.source, row.family, row.dtype) == ("Tiny Model!", "gemma3_text", "BF16")
    assert row.licence == "apache-2.0"
    assert row.parameters == record.parameters == 61_920
    assert row.licence_text == FILES["LICENSE"]
    assert row.files == {name: facts.model_dump() for name, facts in record.files.items()}
    assert row.size_bytes == sum(facts.size for facts in record.files.values())
    assert row.tokenizer_hash == hashlib.sha256(b"{}").hexdigest()
    assert row.chat_template_hash == hashlib.sha256(b"{{ messages }}").hexdigest()
    assert row.imported_by == operator
    assert AuditEvent.objects.filter(action="model.import", actor=operator).count() == 1


def test_the_same_content_again_is_there_already_under_its_one_name(tmp_path):
    row = import_tiny(tmp_path)
    again = import_folder(shutil.copytree(tmp_path / "mini", tmp_path / "another"))
    assert (again.row.pk, again.row.name, again.created) == (row.pk, "mini", False)
    with pytest.raises(ConflictError, match=rf"here as {row.reference}, and one content has one name"):
        import_folder(tmp_path / "another", name="another")
    assert BaseModel.objects.count() == 1


def test_a_name_means_what_was_imported_last_and_a_reference_one_content(tmp_path):
    old = import_tiny(tmp_path / "a")
    new = import_tiny(tmp_path / "b", dtype="BF16")
    assert find_row("mini") == new
    assert find_row(old.reference) == old
    assert find_row(f"mini@{new.content_hash[:4]}") in {old, new}
    elsewhere = f"other@{old.content_hash[:12]}"
    for unknown in ("other", elsewhere, "mini@ffffffff", "mini@", "\x00", "Mini", "a/b"):
        with pytest.raises(NotFoundError, match="There are: mini@"):
            find_row(unknown)


def test_a_folder_without_a_row_is_found_and_a_broken_one_passed_over(tmp_path):
    row = import_tiny(tmp_path)
    broken = import_tiny(tmp_path, "broken", dtype="BF16")
    (bases.root() / broken.content_hash / "config.json").unlink()
    BaseModel.objects.all().delete()
    assert [found.content_hash for found in scan()] == [row.content_hash]
    assert BaseModel.objects.get().imported_at == row.imported_at
    assert scan() == []


def test_a_row_whose_folder_is_gone_says_so_and_importing_mends_it(tmp_path):
    row = import_tiny(tmp_path)
    assert row.is_here
    shutil.rmtree(bases.root() / row.content_hash)
    assert not BaseModel.objects.get().is_here
    imported = import_folder(tmp_path / "mini")
    assert (imported.row.pk, imported.row.name, imported.created) == (row.pk, "mini", True)
    assert imported.row.is_here


@pytest.mark.parametrize("name", ["nano", "import", "Tiny", "a b", "-a", "", "a" * 81, "a/b", "a@b"])
def test_a_name_that_cannot_be_is_refused(name):
    with pytest.raises(InvalidInputError, match="cannot be called"):
        check_name(name)


def test_names_follow_from_folders_and_repositories():
    assert suggest_name("Qwen/Qwen3-0.6B") == "qwen3-0.6b"
    assert suggest_name("/models/My Model (v2)/") == "my-model-v2"
    for source in ("/", "模型", "tiny"):
        with pytest.raises(InvalidInputError, match="--name"):
            suggest_name(source)
    assert is_repository("Qwen/Qwen3-0.6B")
    assert not any(map(is_repository, ("Qwen", "a/b/c", "../b", "a/..b", "a/b c", "a/b\n", "-a/b")))


def test_a_model_that_cannot_be_used_leaves_neither_row_nor_folder(tmp_path):
    place = model_folder(tmp_path / "odd", config={"model_type": "mamba"})
    with pytest.raises(InvalidInputError, match=r"odd cannot be imported\. .*'mamba' is not supported"):
        import_folder(place)
    assert not BaseModel.objects.exists()
    assert not bases.root().exists()


def test_what_a_model_lacks_is_told(tmp_path):
    notes = import_folder(model_folder(tmp_path / "bare")).notes
    assert "no tokenizer.json" in notes[0]
    assert "licence" in notes[1]
    (tmp_path / "bare" / "tokenizer.json").write_text("{}")
    assert "no chat template" in import_folder(tmp_path / "bare").notes[0]


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ('---\ntags: [a]\nlicense: "apache-2.0"\n---', "apache-2.0"),
        ("---\nlicense: other\nlicense_name: gemma\n---\n", "gemma"),
        ("---\nlicense: other\n---\n", "other"),
        ("license: mit\n", ""),
        ("---\nlicense:\n- mit\n---\n", ""),
        ("", ""),
    ],
)
def test_the_licence_stands_in_the_cards_front_matter(tmp_path, card, licence):
    place = model_folder(tmp_path, files={"README.md": card})
    assert read_told(place).licence == licence


@pytest.mark.parametrize(
    ("files", "template"),
    [
        ({"chat_template.jinja": "own", "tokenizer_config.json": '{"chat_template": "x"}'}, "own"),
        ({"tokenizer_config.json": '{"chat_template": "x"}'}, "x"),
        (
            {"tokenizer_config.json": '{"chat_template": [{"name": "rag", "template": "r"}, '
             '{"name": "default", "template": "d"}]}'},
            "d",
        ),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_chat_template_is_found_where_it_may_stand(tmp_path, files, template):
    hashed = hashlib.sha256(template.encode()).hexdigest() if template else ""
    assert read_told(model_folder(tmp_path, files=files)).chat_template_hash == hashed


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("5", r"chat_template of tokenizer_config\.json must be a text"),
        ('[{"name": "rag", "template": "r"}]', r"names the chat templates rag, and none is the default one"),
        (r'"a \ud83d b"', r"tokenizer_config\.json holds half of a surrogate pair \(\\ud83d\)"),
    ],
)
def test_a_template_that_no_training_could_use_is_refused(tmp_path, template, said):
    config = {"tokenizer_config.json": f'{{"chat_template": {template}}}'}
    with pytest.raises(InvalidInputError, match=f"odd cannot be imported.*{said}"):
        import_folder(model_folder(tmp_path / "odd", files=config))
    assert not BaseModel.objects.exists()


def test_a_folder_whose_name_is_no_utf8_can_be_imported(tmp_path):
    place = model_folder(tmp_path / os.fsdecode(b"m\xfcller"))
    row = import_folder(place).row
    assert (row.source, row.name) == ("m\N{REPLACEMENT CHARACTER}ller", "m-ller")
    assert bases.find_base(row.reference).record.source == row.source


def test_a_run_says_from_its_first_moment_which_base_it_names_and_the_migration_says_the_same(tmp_path):
    row = import_tiny(tmp_path)
    config = make_config({"model": "mini"})
    run = create_run(kind=Kind.TRAIN, config=config, device=Device("cpu"), dataset=None, total_steps=1)
    assert run.base_hash == row.content_hash[:12]
    assert make_run().base_hash == ""
    Run.objects.update(base_hash="")
    assert not runs_of(row)
    importlib.import_module("runs.migrations.0021_base_hash").fill(apps, None)
    assert list(runs_of(row)) == [run]


def test_the_list_of_models_reads_no_recipes_however_many_runs_there_are(tmp_path, django_assert_num_queries):
    rows = [import_tiny(tmp_path), import_tiny(tmp_path, "other", dtype="BF16")]
    runs = [run_from(row) for row in rows for _ in range(4)]
    with django_assert_num_queries(1) as asked:
        found = runs_by_base(rows)
    assert "config" not in asked[0]["sql"]
    assert found[rows[1].content_hash] == Users(4, runs[:4:-1])
