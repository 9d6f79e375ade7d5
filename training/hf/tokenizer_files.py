"""The files of a Hugging Face model that say how it reads and writes text. Imports no JAX."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.errors import ConfigError
from training.hf.headers import open_regular

TOKENIZER_NAME: Final = "tokenizer.json"
TEMPLATE_NAME: Final = "chat_template.jinja"
CONFIG_NAMES: Final = ("tokenizer_config.json", "special_tokens_map.json")
# Those of the largest vocabularies in use, 262,144 pieces, take some 35 MB.
_MAX_TOKENIZER: Final = 256 << 20
_MAX_OTHER: Final = 16 << 20
_MAX_TEMPLATE: Final = 256 << 10
_RECORD_NAME: Final = "tunix_model.json"


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What the files say: the content of ``tokenizer.json``, the texts of special tokens, the template.

    ``special`` maps ``bos_token``, ``eos_token`` and the like to their texts; ``eos_ids`` are those of
    ``generation_config.json`` and ``config.json``; ``table`` is the number of rows of the model's
    table, None where no ``config.json`` says it; ``template`` is empty where there is none.
    """

    name: str
    tokenizer: dict[str, Any]
    tokenizer_hash: str
    special: dict[str, str]
    eos_ids: tuple[int, ...]
    table: int | None
    template: str


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read all of a model's files that matter for its texts.

    Raises:
        ConfigError: naming the model, the file, and what to do.
    """
    name = _name_of(folder)
    raw = _read(folder, TOKENIZER_NAME, name, _MAX_TOKENIZER)
    if raw is None:
        raise ConfigError(_no_tokenizer(folder, name))
    tokenizer = _parsed(raw, TOKENIZER_NAME, name)
    if not isinstance(tokenizer.get("model"), dict):
        raise ConfigError(f"{name}: {TOKENIZER_NAME} holds no model. Take the file of a fast tokenizer.")
    configs = [_object(folder, file, name) for file in CONFIG_NAMES]
    model, generation = (_object(folder, file, name) for file in ("config.json", "generation_config.json"))
    return TokenizerFiles(
        name=name,
        tokenizer=tokenizer,
        tokenizer_hash=hashlib.sha256(raw).hexdigest(),
        special=_special(configs),
        eos_ids=tuple(dict.fromkeys([*_ids(generation), *_ids(model), *_ids(_inner(model))])),
        table=_table(model, name),
        template=_template(folder, configs[0], name),
    )


def read_chat_template(folder: Path) -> str:
    """Read a model's chat template alone; empty where it has none.

    Raises:
        ConfigError: naming the model, the file, and what to do.
    """
    name = _name_of(folder)
    return _template(folder, _object(folder, CONFIG_NAMES[0], name), name)


def _name_of(folder: Path) -> str:
    """Name a model as people do: by its record, else by its folder."""
    try:
        name = json.loads((folder / _RECORD_NAME).read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = folder.name
    return f"base model {name}"


def _no_tokenizer(folder: Path, name: str) -> str:
    pieces = sorted(path.name for path in folder.glob("*.model"))
    if pieces:
        return (
            f"{name} has no {TOKENIZER_NAME}, only {pieces[0]}. Convert it: load the folder with "
            "transformers' AutoTokenizer, save it again with save_pretrained, and import the folder that "
            f"has {TOKENIZER_NAME}."
        )
    return f"{name} has no {TOKENIZER_NAME}, so nothing says which tokens it reads. Import it with that file."


def _read(folder: Path, file: str, name: str, most: int) -> bytes | None:
    path = folder / file
    if not path.exists() and not path.is_symlink():
        return None
    try:
        with open_regular(path) as opened:
            raw = opened.read(most + 1)
    except (ConfigError, OSError) as error:
        raise ConfigError(f"{name}: {file} cannot be read ({error}). Import it anew.") from error
    if len(raw) > most:
        raise ConfigError(f"{name}: {file} has more than {most:,} bytes, which no such file needs.")
    return raw


def _parsed(raw: bytes, file: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: {file} is no JSON ({error}). Import it anew.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: {file} must hold an object, not a {type(content).__name__}.")
    return content


def _object(folder: Path, file: str, name: str) -> dict[str, Any]:
    raw = _read(folder, file, name, _MAX_OTHER)
    return {} if raw is None else _parsed(raw, file, name)


def _special(configs: list[dict[str, Any]]) -> dict[str, str]:
    """Read the texts of special tokens, plain or as objects; what stands first wins."""
    found: dict[str, str] = {}
    for config in configs:
        for key, value in config.items():
            if not key.endswith("_token"):
                continue
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str) and text:
                found.setdefault(key, text)
    return found


def _inner(config: Mapping[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else {}


def _ids(config: Mapping[str, Any]) -> list[int]:
    given = config.get("eos_token_id")
    several = given if isinstance(given, list) else [given]
    return [one for one in several if isinstance(one, int) and not isinstance(one, bool) and one >= 0]


def _table(config: Mapping[str, Any], name: str) -> int | None:
    size = config.get("vocab_size", _inner(config).get("vocab_size"))
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigError(f"{name}: config.json: vocab_size must be a whole number above 0, not {size!r}.")
    return size


def _template(folder: Path, config: Mapping[str, Any], name: str) -> str:
    """Find the chat template: its own file, else ``tokenizer_config.json``, the default one of several."""
    raw = _read(folder, TEMPLATE_NAME, name, _MAX_TEMPLATE)
    if raw is not None:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name}: {TEMPLATE_NAME} is no UTF-8 text ({error}).") from error
    given = config.get("chat_template")
    if isinstance(given, list):
        named = {
            one.get("name"): one.get("template") for one in given if isinstance(one, dict) and one.get("name")
        }
        if given and "default" not in named:
            raise ConfigError(
                f"{name}: tokenizer_config.json names the chat templates "
                f"{', '.join(map(str, named)) or 'of no name'}, and none is the default one. Put the one "
                f"to use into {TEMPLATE_NAME} and import it anew."
            )
        given = named.get("default")
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > _MAX_TEMPLATE:
        raise ConfigError(
            f"{name}: chat_template of tokenizer_config.json must be a text of at most {_MAX_TEMPLATE:,} "
            "characters."
        )
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{name}: chat_template of tokenizer_config.json holds half of a surrogate pair "
            f"(\\u{ord(given[error.start]):04x}), which is no text. Correct it."
        ) from error
    return given
