"""Ids that end and fill, what the hash covers, and files that cannot be used."""

import json
import string
import sys

import pytest

pytest.importorskip("tokenizers")

from training.errors import ConfigError
from training.examples import TraceExample
from training.hf.tests.support import byte_level, load, pieces, write_model
from training.hf.text import load_text_form
from training.rendering import render

NO_TEMPLATE = {"chat_template__jinja": None}
EXAMPLE = TraceExample("", "q", ("s",), "1")


def with_tokens(*, leave_out=(), add=()):
    """The chatml tokenizer with other special tokens at the end."""
    content = json.loads(byte_level("chatml"))
    content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] not in leave_out]
    for text in add:
        number = max(one["id"] for one in content["added_tokens"]) + 1
        content["added_tokens"].append({**content["added_tokens"][0], "id": number, "content": text})
    return json.dumps(content)


def test_all_that_ends_a_text_is_an_end(tmp_path):
    eos = {"eos_token_id": [367, 369, 999999]}
    form = load(tmp_path, generation_config__json=eos, config__json={"vocab_size": 400, "eos_token_id": 367})
    assert form.ends == (369, 367)
    assert form.decode([367, 369, form.pad]) == ""


def test_a_pad_token_that_is_also_an_end_is_not_used(tmp_path):
    config = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    assert load(tmp_path, tokenizer_config__json=config).pad == 367
    generation = {"eos_token_id": [369, 367]}
    form = load(tmp_path, tokenizer_config__json=config, generation_config__json=generation)
    assert form.encoder.piece(form.pad) == "<|fim_pad|>"


def test_without_a_pad_token_one_that_nothing_uses_is_taken(tmp_path):
    made = with_tokens(leave_out=("<|fim_pad|>",), add=("<|reserved_7|>", "<|x|>"))
    # The library gives added tokens ids without gaps, so the file that leaves one out must too.
    content = json.loads(made)
    for number, token in enumerate(content["added_tokens"]):
        token["id"] = content["added_tokens"][0]["id"] + number
    form = load(tmp_path, tokenizer__json=json.dumps(content))
    assert form.encoder.piece(form.pad) == "<|reserved_7|>"
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] in ("<|im_start|>", "<|im_end|>")
    ]
    for number, token in enumerate(content["added_tokens"]):
        token["id"] = 367 + number
    form = load(tmp_path, tokenizer__json=json.dumps(content), config__json={"vocab_size": 500})
    assert (form.pad, form.vocab_size) == (369, 370)
    with pytest.raises(ConfigError, match="no token can fill the rest of a row"):
        load(tmp_path, tokenizer__json=json.dumps(content), config__json={"vocab_size": 369})


def test_the_unknown_token_fills_rows_only_where_no_text_can_give_it(tmp_path):
    assert load(tmp_path / "1", "tinyllama", config__json={"vocab_size": 700}).pad == 0
    content = json.loads(pieces("tinyllama"))
    content["model"]["byte_fallback"] = False
    content["decoder"]["decoders"].pop(1)
    vocabulary = content["model"]["vocab"]
    missing = [character for character in string.printable if character not in vocabulary]
    vocabulary |= {character: 800 + at for at, character in enumerate(missing)}
    form = load(
        tmp_path / "2", "base-pieces", tokenizer__json=json.dumps(content), config__json={"vocab_size": 1000}
    )
    assert form.pad != 0


def test_ids_without_a_row_are_refused_unless_nothing_needs_them(tmp_path):
    form = load(tmp_path, config__json={"vocab_size": 371})
    assert form.vocab_size == 371
    with pytest.raises(ConfigError, match=r"table has 369 rows, and '<\|im_end\|>' has the id 369"):
        load(tmp_path, config__json={"vocab_size": 369})
    with pytest.raises(ConfigError, match="ids up to 366, and the model's table only 300 rows"):
        load(tmp_path, config__json={"text_config": {"vocab_size": 300}})
    with pytest.raises(ConfigError, match="vocab_size must be a whole number"):
        load(tmp_path, config__json={"vocab_size": "many"})


def test_the_hash_covers_all_that_decides_ids(tmp_path):
    forms = [
        load(tmp_path),
        load(tmp_path, system="You do sums."),
        load(tmp_path, reasoning="think"),
        load(tmp_path, "qwen3"),
        load(tmp_path, tokenizer__json=with_tokens(add=("<|x|>",))),
        load(tmp_path, generation_config__json={"eos_token_id": 367}),
    ]
    assert len({form.hash for form in forms}) == len(forms)
    assert load(tmp_path, generation_config__json=None).hash == forms[0].hash


def test_truncation_padding_and_dropout_of_the_file_are_not_applied(tmp_path):
    content = json.loads(byte_level("chatml"))
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "!",
    }  # fmt: skip
    content["model"]["dropout"] = 0.9
    form = load(tmp_path, tokenizer__json=json.dumps(content))
    assert form.trace(EXAMPLE, "trace") == load(tmp_path).trace(EXAMPLE, "trace")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"tokenizer__json": None}, "has no tokenizer.json, so nothing says which tokens"),
        ({"tokenizer__json": None, "tokenizer__model": "x"}, "only tokenizer.model. Convert it"),
        ({"tokenizer__json": "{"}, "tokenizer.json is no JSON"),
        ({"tokenizer__json": "[]"}, "tokenizer.json must hold an object"),
        ({"tokenizer__json": "{}"}, "tokenizer.json holds no model"),
        ({"tokenizer__json": {"model": {"type": "X", "vocab": {"a": 0}}}}, "tokenizer.json cannot be used"),
        ({"tokenizer__json": {"model": {"vocab": 3}}}, "the vocabulary cannot be read"),
        ({"tokenizer__json": {"model": {"vocab": {}}, "added_tokens": [1]}}, "added_tokens cannot be read"),
        ({"tokenizer_config__json": "no"}, "tokenizer_config.json is no JSON"),
        ({"tokenizer_config__json": {"eos_token": None}, **NO_TEMPLATE}, "which token ends a text"),
        ({"tokenizer_config__json": {"eos_token": "<none>"}, **NO_TEMPLATE}, "which token ends a text"),
        ({"tokenizer_config__json": {"chat_template": 3}, **NO_TEMPLATE}, "chat_template of"),
        ({"chat_template__jinja": "x" * 300_000}, "more than 262,144 bytes"),
    ],
)
def test_files_that_cannot_be_used_are_refused_by_name(tmp_path, files, found):
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "odd-1b", **files)
    assert found in str(refused.value)
    assert str(refused.value).startswith("base model odd-1b")


def test_a_tokenizer_that_loses_text_is_refused(tmp_path):
    content = json.loads(byte_level("chatml"))
    content["normalizer"] = {"type": "Lowercase"}
    with pytest.raises(ConfigError, match="cannot be read back"):
        load(tmp_path, tokenizer__json=json.dumps(content))


def test_ids_that_the_library_cannot_keep_are_refused(tmp_path):
    content = json.loads(byte_level("chatml"))
    content["added_tokens"][-1]["id"] += 5
    with pytest.raises(ConfigError, match="cannot keep"):
        load(tmp_path, "qwen3", tokenizer__json=json.dumps(content))


def test_the_record_names_the_model(tmp_path):
    with pytest.raises(ConfigError, match=r"^base model qwen3-0\.6b has no tokenizer\.json"):
        load(tmp_path, tunix_model__json={"name": "qwen3-0.6b"}, tokenizer__json=None)


@pytest.mark.parametrize("missing", ["tokenizers", "jinja2"])
def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch, missing):
    write_model(tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "training.hf.sandbox", raising=False)
    with pytest.raises(ConfigError, match=r"needs the extra `models`: pip install -e '\.\[models\]'"):
        load_text_form(tmp_path, reasoning="plain", system_prompt="")


def test_the_text_of_from_scratch_is_what_a_template_is_given(tmp_path):
    form = load(tmp_path)
    ids, size = form.trace(EXAMPLE, "trace")
    assert form.decode(ids[size:]) == render(EXAMPLE.steps, "1")
