"""A model from scratch goes out as a llama whose tokenizer gives the very ids that it was trained on."""

import json

import pytest

pytest.importorskip("tokenizers")

from tokenizers import Tokenizer

from training.errors import ExportError
from training.hf.families import model_config_from_hf
from training.hf.scratch import byte_letters, generation_config, llama_config, tokenizer_files
from training.model_config import PRESETS, LinearRope, Llama3Rope, preset
from training.tokenizer import TOKENIZER

FILES = tokenizer_files(context_length=64)
OUTSIDE = Tokenizer.from_str(FILES["tokenizer.json"])
TEXTS = [
    "",
    " ",
    "  two  spaces\tand\na line\r\n",
    "12 + 30 = 42\n#42",
    "<|pad|> <|end|> <|im_start|>user [INST] <s>",
    "naïve café – 数学 🙂 e\u0301",
    "\x00\x01\x7f\x80\xff\u0100\u0143",
    "".join(map(chr, range(0x100, 0x180))),
    "a" * 500,
]


def same(text):
    return OUTSIDE.encode(text).ids == TOKENIZER.encode(text)


@pytest.mark.parametrize("text", TEXTS)
def test_the_ids_are_those_of_the_training(text):
    assert OUTSIDE.encode(text).ids == TOKENIZER.encode(text)
    assert OUTSIDE.decode(TOKENIZER.encode(text)) == text


def test_so_are_those_of_characters_of_every_kind():
    codes = [*range(0x3000), *range(0x3000, 0x110000, 61)]
    every = [chr(code) for code in codes if not 0xD800 <= code < 0xE000]
    assert all(same("".join(every[start : start + 512])) for start in range(0, len(every), 512))


def test_the_vocabulary_is_bytes_pad_and_end():
    assert OUTSIDE.get_vocab_size() == TOKENIZER.vocab_size
    assert [OUTSIDE.token_to_id(letter) for letter in byte_letters()] == list(range(256))
    config = json.loads(FILES["tokenizer_config.json"])
    assert OUTSIDE.token_to_id(config["pad_token"]) == TOKENIZER.pad
    assert OUTSIDE.token_to_id(config["eos_token"]) == TOKENIZER.eos
    assert config["split_special_tokens"]
    assert generation_config()["eos_token_id"] == TOKENIZER.eos


@pytest.mark.parametrize("name", PRESETS)
def test_the_fixture_config_a_preset_is_read_back_as_its_shape(name):
    told = json.loads(json.dumps(llama_config(preset(name), context_length=64)))
    assert model_config_from_hf(told) == preset(name)
    assert (told["pad_token_id"], told["eos_token_id"]) == (256, 257)


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_scaling": LinearRope(factor=2.0)},
        {"rope_scaling": Llama3Rope(factor=8.0, low_frequency=1.0, high_frequency=4.0, original_length=16)},
        {"qkv_bias": True, "out_bias": True},
        {"tied": False, "norm_epsilon": 1e-5, "rope_theta": 5e5},
    ],
)
def test_so_is_what_the_llama_family_can_say_besides(changes):
    shape = preset("nano").model_copy(update=changes)
    assert model_config_from_hf(llama_config(shape, context_length=64)) == shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qk_norm": True}, "no qk_norm"),
        ({"window": 8}, "no window"),
        ({"final_soft_cap": 3.0}, "no final_soft_cap"),
        ({"activation": "gelu_tanh"}, "no activation"),
        ({"qkv_bias": True}, "all four projections"),
    ],
)
def test_what_it_cannot_say_is_refused(changes, message):
    with pytest.raises(ExportError, match=message):
        llama_config(preset("nano").model_copy(update=changes), context_length=64)
