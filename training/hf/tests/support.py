"""Small tokenizers of the two kinds that models have, and chat templates in the shapes of the families.

The templates are written here after the form that the families document; nothing is copied.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from training.hf.text import HfForm, load_text_form

CORPUS = [
    "What is 12 + 30? First add the tens, then the ones. The answer is 42.",
    "Alice has 3 apples and buys 4 more; how many apples does she have now?\n3+4=7\n#7",
    "system user assistant model think first second step probe question answer",
] * 4
BYTE_SPECIALS = {
    "chatml": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>"],
    "llama3": [
        "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
        "<|finetune_right_pad_id|>",
    ],
    "r1": ["<|begin|>", "<|stop|>", "<|User|>", "<|Assistant|>", "<|pad|>"],
}  # fmt: skip
TAGS = ["<think>", "</think>"]

# Header lines and an end for each turn, as Qwen 2 documents.
CHATML = """{%- for m in messages %}
    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""
CHATML_GENERATION = """{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}{% generation %}{{- m.content + '<|im_end|>' }}{% endgeneration
        %}{{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""
# As Qwen 3 documents: thinking in a block of its own in the last turn, an empty block where none is wanted.
CHATML_THINK = """{%- for m in messages %}
    {%- if m.role == 'assistant' %}
        {%- set text = m.content %}
        {%- set thought = '' %}
        {%- if m.reasoning_content is string %}
            {%- set thought = m.reasoning_content %}
        {%- elif '</think>' in text %}
            {%- set thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set text = text.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.last or thought %}
            {{- '<think>\\n' ~ thought.strip('\\n') ~ '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- text.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
# Headers between tokens, a system turn with the date in it, as Llama 3 documents.
LLAMA3 = """{{- bos_token }}
{%- if strftime_now is defined %}{% set day = strftime_now('%d %b %Y') %}{% else %}{% set day = '?' %}{%
endif %} {%- set system = messages[0].content | trim if messages[0].role == 'system' else '' %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nDate: ' ~ day ~ '\\n\\n' ~ system ~ '<|eot_id|>' }}
{%- for m in messages if m.role != 'system' %}
    {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + (m['content'] | trim) + '<|eot_id|>'
    }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
"""
# Turns of user and model; the system message goes into the user's turn, as Gemma 3 documents.
GEMMA = """{{ bos_token }}
{%- set first = '' %}
{%- if messages[0]['role'] == 'system' %}
    {%- set first = messages[0]['content'] + '\\n\\n' %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{%- for m in rest %}
    {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' }}
    {{- first if loop.first else '' }}
    {{- m['content'] | trim }}{{- '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{% endif %}
"""
REFUSES = """{%- if messages[0].role == 'system' %}
{{- raise_exception('System role not supported') }}
{%- endif %}
"""
GEMMA_NO_SYSTEM = REFUSES + GEMMA
# Roles as ordinary text, the end of all texts as the end of a turn, as Zephyr and TinyLlama document.
ZEPHYR = """{% for m in messages %}
{% if m['role'] == 'user' %}
{{ '<|user|>\\n' + m['content'] + eos_token }}
{% elif m['role'] == 'system' %}
{{ '<|system|>\\n' + m['content'] + eos_token }}
{% else %}
{{ '<|assistant|>\\n' + m['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
"""
# The prompt begins the thinking, and whole conversations leave it out.
R1 = """{{ bos_token }}{% for m in messages %}
{%- if m.role == 'user' %}{{ '<|User|>' + m.content }}
{%- elif m.role == 'assistant' %}{{ '<|Assistant|>' + m.content.split('</think>')[-1].strip() + eos_token }}
{%- else %}{{ m.content }}{% endif %}
{%- endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"""


@lru_cache
def byte_level(kind: str = "chatml") -> str:
    """A byte-level BPE tokenizer, as Qwen and Llama 3 have it."""
    specials = BYTE_SPECIALS[kind]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.add_special_tokens(specials)
    made.add_tokens(TAGS)
    content = json.loads(made.to_str())
    if kind == "llama3":
        content["post_processor"] = template_processing(specials[0], int(made.token_to_id(specials[0]) or 0))
    return json.dumps(content)


def template_processing(token: str, number: int) -> dict[str, Any]:
    """What puts a token before every text."""
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, first, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


@lru_cache
def pieces(kind: str = "tinyllama") -> str:
    """A tokenizer that came from sentencepiece: spaces as ▁, unknown characters as bytes.

    ``tinyllama`` puts a space before every text by its normaliser, ``mistral`` by its pre-tokenizer before
    the first, ``gemma`` before none.
    """
    controls = ["<unk>", "<s>", "</s>"]
    if kind == "gemma":
        controls = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    byte_pieces = [f"<0x{number:02X}>" for number in range(256)]
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "▁")
    prepend = [normalizers.Prepend("▁")] if kind == "tinyllama" else []
    if kind == "mistral":
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        made.normalizer = normalizers.Sequence([*prepend, replace])
    strip = [] if kind == "gemma" else [decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=560, special_tokens=[*controls, *byte_pieces], show_progress=False
    )
    words = [f"▁{word}" for text in CORPUS for word in text.split()]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trained.train_from_iterator(words, trainer)
    content, learnt = json.loads(made.to_str()), json.loads(trained.to_str())
    content["model"]["vocab"] = learnt["model"]["vocab"]
    content["model"]["merges"] = learnt["model"]["merges"]
    content["added_tokens"] = [one for one in learnt["added_tokens"] if one["content"] in controls]
    begin = "<bos>" if kind == "gemma" else "<s>"
    content["post_processor"] = template_processing(begin, content["model"]["vocab"][begin])
    return json.dumps(content)


# name → tokenizer.json, bos, eos, template; the shapes in which the families come.
SHAPES: dict[str, tuple[Any, str | None, str, str]] = {
    "qwen2": (lambda: byte_level("chatml"), None, "<|im_end|>", CHATML),
    "qwen2-generation": (lambda: byte_level("chatml"), None, "<|im_end|>", CHATML_GENERATION),
    "qwen3": (lambda: byte_level("chatml"), None, "<|im_end|>", CHATML_THINK),
    "llama3": (lambda: byte_level("llama3"), "<|begin_of_text|>", "<|eot_id|>", LLAMA3),
    "gemma": (lambda: pieces("gemma"), "<bos>", "<eos>", GEMMA),
    "gemma-no-system": (lambda: pieces("gemma"), "<bos>", "<eos>", GEMMA_NO_SYSTEM),
    "tinyllama": (lambda: pieces("tinyllama"), "<s>", "</s>", ZEPHYR),
    "mistral": (lambda: pieces("mistral"), "<s>", "</s>", ZEPHYR),
    "r1": (lambda: byte_level("r1"), "<|begin|>", "<|stop|>", R1),
    "base-bytes": (lambda: byte_level("chatml"), None, "<|endoftext|>", ""),
    "base-llama3": (lambda: byte_level("llama3"), "<|begin_of_text|>", "<|end_of_text|>", ""),
    "base-pieces": (lambda: pieces("tinyllama"), "<s>", "</s>", ""),
    "base-mistral": (lambda: pieces("mistral"), "<s>", "</s>", ""),
}


def write_model(folder: Path, shape: str = "qwen2", **files: Any) -> Path:
    """Write the files of one of `SHAPES`; ``files`` replace some by a text, an object, or nothing (None)."""
    tokenizer, bos, eos, template = SHAPES[shape]
    content = {
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {"bos_token": bos, "eos_token": {"content": eos}},
        "chat_template.jinja": template or None,
        **{name.replace("__", "."): value for name, value in files.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in content.items():
        (folder / name).unlink(missing_ok=True)
        if value is not None:
            (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def load(
    folder: Path, shape: str = "qwen2", *, reasoning: str = "plain", system: str = "", **files: Any
) -> HfForm:
    """Write the files of a shape and load its form."""
    form = load_text_form(write_model(folder, shape, **files), reasoning=reasoning, system_prompt=system)
    assert isinstance(form, HfForm)
    return form
