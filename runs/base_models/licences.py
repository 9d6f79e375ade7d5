"""What a model's own files say of its licence, its tokenizer and its chat template."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.errors import ConfigError
from training.hf.choosing import CARD, choose_files
from training.hf.headers import open_regular
from training.hf.tokenizer_files import read_chat_template

# Licences are short; of whatever else is called LICENSE this much is kept.
MAX_TEXT: Final = 256 << 10
_FRONT: Final = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
_LINE: Final = "^{}:[ \t]*(.+?)[ \t]*$"


@dataclass(frozen=True, slots=True)
class Told:
    """What a folder tells: short name and text of the licence, hash of the template; empty where nothing."""

    licence: str
    licence_text: str
    chat_template_hash: str


def read_told(folder: Path) -> Told:
    """Read licence and chat template of a model's folder.

    Raises:
        ConfigError: when the template cannot be read, or is one of several and none of them the default.
    """
    names = [entry.name for entry in folder.iterdir()]
    licence = _of_card(_text(folder / CARD)) if CARD in names else ""
    texts = [_text(folder / name) for name in choose_files(names).licences]
    template = read_chat_template(folder)
    hashed = hashlib.sha256(template.encode()).hexdigest() if template else ""
    return Told(licence, "\n\n".join(text for text in texts if text.strip())[:MAX_TEXT], hashed)


def _of_card(card: str) -> str:
    """Read the licence out of a model card's front matter, which is YAML of plain lines."""
    front = _FRONT.match(card)
    if front is None:
        return ""
    values = {}
    for key in ("license", "license_name"):
        line = re.search(_LINE.format(key), front.group(1), re.MULTILINE)
        values[key] = line.group(1).strip("'\"") if line else ""
    told = values["license_name"] if values["license"] in {"", "other"} else values["license"]
    return (told or values["license"])[:100]


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_TEXT)
    except (ConfigError, OSError):
        return ""
    # PostgreSQL keeps no NUL.
    return raw.decode("utf-8", "replace").replace("\x00", "").replace("\r\n", "\n")
