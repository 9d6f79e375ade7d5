"""A base model that can really be trained: a committed fixture with a tokenizer of single characters."""

import json
from pathlib import Path
from typing import Any, Final

from training.hf.tests.folders import model_folder

_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# What golden-v2, chat turns and the trial of a tokenizer need, within the 80 ids of the fixture.
_CHARACTERS: Final = 'abcdefghijklmnopqrstuvwxyzPABCFSH&0123456789+-*/=()#.,?:<>|_"\n '
# How the byte-level alphabet writes these two.
_BYTES: Final = {"\n": "Ċ", " ": "Ġ"}
_TEMPLATE: Final = """{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""


def tiny_base(path: Path) -> Path:
    """Write the folder of a model of the qwen3 family with 35 thousand parameters."""
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
    settings = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "chat_template": _TEMPLATE}
    files = {"tokenizer.json": json.dumps(tokenizer), "tokenizer_config.json": json.dumps(settings)}
    return model_folder(path, "qwen3", files=files)
