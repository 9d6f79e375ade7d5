"""A tokenizer with which the committed fixtures can really be trained: an id for each character."""

import json
from typing import Any, Final

_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# What traces, chat turns and the trial of a tokenizer need, within the 80 ids of the fixtures.
_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzPABCFSH&0123456789+-*/=()#.,?:<>|_\"'\\\n "
# How the byte-level alphabet writes these two.
_BYTES: Final = {"\n": "Ċ", " ": "Ġ"}


def character_files(template: str = "") -> dict[str, str]:
    """Give the texts of its files, by their names; ``template`` is the chat template, if it has one."""
    vocabulary = [*_SPECIAL, *(_BYTES.get(one, one) for one in _CHARACTERS)]
    level: dict[str, Any] = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False
    }  # fmt: skip
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {
                "id": number, "content": text, "special": True, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False,
            }
            for number, text in enumerate(_SPECIAL)
        ],
        "pre_tokenizer": level,
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {text: number for number, text in enumerate(vocabulary)},
            "merges": [],
        },
    }  # fmt: skip
    settings = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    if template:
        settings["chat_template"] = template
    return {"tokenizer.json": json.dumps(tokenizer), "tokenizer_config.json": json.dumps(settings)}
