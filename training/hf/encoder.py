"""A model's tokenizer, in which text of people can never become a special token. Imports no JAX.

The library finds the texts of special tokens anywhere in what it is given. A trace may hold such a text
(``<|im_end|>`` in a question about chat formats), and must be read as it is written. So

1. in the tokenizer, every *control token* (special, or a tag such as ``<think>``) is renamed: its
   text becomes its id between two noncharacters of Unicode, which no text of ours holds;
2. `Encoder.guard` gives a text of people in which each character that begins or ends the text of a control
   token is replaced by a noncharacter, so that a chat template can trim it and join it, and neither alone
   nor with what the template writes around it can it make up a control token;
3. `Encoder.seal` finds the control tokens of what the template wrote, gives them their new names, and turns
   the characters back.

All is then encoded at once, so that everything that the library does around special tokens stays as it is.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from training.errors import ConfigError
from training.hf.conventions import NAME_BEGIN, NAME_END, STAND_INS
from training.hf.tokenizer_files import TOKENIZER_NAME, TokenizerFiles

_NAMED: Final = re.compile(f"{NAME_BEGIN}([0-9]+){NAME_END}")
# What no tokenizer can take, and what has a meaning of its own here.
_FOREIGN: Final = re.compile("[\ud800-\udfff\ufdd0-\ufdef]")
_STAND_IN: Final = re.compile(f"[{STAND_INS[0]}-{STAND_INS[-1]}]")
_BYTE: Final = re.compile(r"<0x[0-9A-F]{2}>")
_TAG: Final = re.compile(r"[<\[]\S{1,60}[>\]]")
_UNFINISHED: Final = "\N{REPLACEMENT CHARACTER}"
_PLAIN: Final = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
# Texts after which the continuation of a text is encoded; see `Encoder.continued`.
_ANCHORS: Final = ("\n", "a", ".", "1")


class Encoder:
    """Text to ids and back; ``controls`` maps the texts of control tokens to their ids.

    ``special`` are those of them that the tokenizer calls special; ``size`` is one more than the largest id.
    ``tags`` are texts that are control tokens where the tokenizer has them.
    """

    def __init__(self, files: TokenizerFiles, *, tags: Iterable[str] = ()) -> None:
        vocabulary = _vocabulary(files)
        added = _added(files, vocabulary)
        self._name = files.name
        named = {*tags, *(text for text in added if _TAG.fullmatch(text) and text in files.template)}
        self.special = {text: one["id"] for text, one in added.items() if one.get("special")}
        self.controls = {
            text: one["id"] for text, one in added.items() if one.get("special") or text in named
        }
        self.ids = vocabulary | {text: one["id"] for text, one in added.items()}
        self._known = frozenset(self.ids.values())
        self.size = max(self._known, default=-1) + 1
        self.is_total = _is_total(files.tokenizer)
        self._is_byte_level = _is_byte_level(files.tokenizer)
        self._texts = {number: text for text, number in self.controls.items()}
        self._bytes = {number for text, number in vocabulary.items() if _BYTE.fullmatch(text)}
        self._control = re.compile(longest_of(self.controls) or r"(?!)")
        self._hidden = _stand_ins(self.controls, files.name)
        self._shown = {stand_in: edge for edge, stand_in in self._hidden.items()}
        self._edge = re.compile("|".join(map(re.escape, self._hidden)) or r"(?!)")
        self._library = _load(_renamed(files.tokenizer, added, self.controls), files.name)
        for text, number in self.controls.items():
            if self._library.token_to_id(_name(number)) != number:
                raise ConfigError(
                    f"{files.name}: {TOKENIZER_NAME} gives {text!r} the id {number}, which the tokenizers "
                    "library cannot keep. Save the tokenizer anew with transformers' save_pretrained and "
                    "import that."
                )

    def guard(self, text: str) -> str:
        """Give a text of people to a template; lone surrogates and noncharacters become U+FFFD."""
        return self._edge.sub(lambda found: self._hidden[found[0]], _FOREIGN.sub(_UNFINISHED, text))

    def shown(self, guarded: str) -> str:
        """Give a guarded text as it was."""
        return _STAND_IN.sub(lambda found: self._shown.get(found[0], ""), guarded)

    def seal(self, written: str) -> str:
        """Make a text that `encode` takes of what a template wrote with guarded texts."""
        return self.shown(self._control.sub(lambda found: _name(self.controls[found[0]]), written))

    def first_control(self, written: str) -> tuple[int, int] | None:
        """Find the first control token in what a template wrote."""
        found = self._control.search(written)
        return None if found is None else found.span()

    def encode(self, sealed: str) -> list[int]:
        """Turn a sealed text into ids."""
        ids: list[int] = self._library.encode(sealed, add_special_tokens=False).ids
        return ids

    def continued(self, before: list[int], before_text: str, after: str) -> list[int]:
        """Encode two sealed texts so that the ids of the first come first.

        At generation the first is all there is, so a token that both would share must not be. Then the
        second is encoded as the middle of a text: many a tokenizer puts a space before the begin of one.
        """
        joint = self.encode(before_text + after)
        if joint[: len(before)] == before:
            return joint
        for anchor in _ANCHORS:
            first, both = self.encode(anchor), self.encode(anchor + after)
            if both[: len(first)] == first:
                return before + both[len(first) :]
        return before + self.encode(after)

    def begin(self) -> list[int]:
        """Give the ids that the tokenizer's own post-processor puts before a text."""
        bare = self._library.encode("a", add_special_tokens=False).ids
        full = self._library.encode("a", add_special_tokens=True).ids
        at = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), 0)
        return list(full[:at])

    def decode(self, ids: list[int]) -> str:
        """Turn ids into text, control tokens by their texts; ids that the tokenizer has not give nothing."""
        known = [number for number in ids if number in self._known]
        text: str = self._library.decode(known, skip_special_tokens=False)
        return _NAMED.sub(lambda found: self._texts.get(int(found[1]), ""), text)

    def decode_begun(self, ids: list[int]) -> str:
        """Turn the first ids into a beginning of what `decode` gives of any ids that begin with them.

        What the last tokens give may change with those that follow as long as they are single bytes, or end
        within a character.
        """
        known = [number for number in ids if number in self._known]
        while known and known[-1] in self._bytes:
            known.pop()
        return self.decode(known).rstrip(_UNFINISHED)

    def piece(self, number: int) -> str:
        """Give what one id adds to a text; U+FFFD where that is a part of a character."""
        if number in self._texts:
            return self._texts[number]
        name = str(self._library.id_to_token(number) or "")
        if number in self._bytes:
            return bytes([int(name[1:-1], 16)]).decode("utf-8", "replace")
        return self.decode([number]) if self._is_byte_level else name.replace("▁", " ")

    def pieces(self, ids: list[int]) -> list[str]:
        """Give what each id adds to a text; a character of several comes with the last, U+FFFD before."""
        found: list[str] = []
        begun: list[int] = []
        for number in ids:
            piece = self.piece(number)
            begun = [*begun, number] if _UNFINISHED in piece else []
            whole = self._joined(begun)
            if begun and _UNFINISHED not in whole:
                piece, begun = whole, []
            found.append(piece)
        return found

    def _joined(self, ids: list[int]) -> str:
        if ids and all(number in self._bytes for number in ids):
            names = [str(self._library.id_to_token(number)) for number in ids]
            return bytes(int(name[1:-1], 16) for name in names).decode("utf-8", "replace")
        return self.decode(ids)


def longest_of(texts: Iterable[str]) -> str:
    """Write a regular expression for the longest of many texts, as a tree of their letters.

    One that lists them tries each in turn: thousands, where a tokenizer has as many unused tokens.
    """
    rests: dict[str, list[str]] = {}
    ends = False
    for text in texts:
        if text:
            rests.setdefault(text[0], []).append(text[1:])
        else:
            ends = True
    branches = [re.escape(first) + longest_of(rest) for first, rest in sorted(rests.items())]
    body = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    return "" if not branches else f"(?:{body})?" if ends else body


def _is_byte_level(tokenizer: Mapping[str, Any]) -> bool:
    return '"ByteLevel"' in json.dumps([tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")])


def _name(number: int) -> str:
    return f"{NAME_BEGIN}{number}{NAME_END}"


def _added(files: TokenizerFiles, vocabulary: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Read the added tokens, without those beyond the model's table that nothing can need.

    Begin and ends of texts are among them even where the file counts them as pieces like all others.
    """
    given = files.tokenizer.get("added_tokens") or []
    try:
        added = {str(one["content"]): {**one, "id": int(one["id"])} for one in given if one["content"]}
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{files.name}: {TOKENIZER_NAME}: added_tokens cannot be read ({error!r})."
        ) from error
    beyond = {text: one["id"] for text, one in added.items() if files.table and one["id"] >= files.table}
    needed = [text for text in beyond if text in files.template or text in files.special.values()]
    if needed:
        raise ConfigError(
            f"{files.name}: the model's table has {files.table} rows, and {needed[0]!r} has the id "
            f"{beyond[needed[0]]}. Model and tokenizer do not belong together; import the model with its "
            "own tokenizer."
        )
    wanted = {files.special.get("bos_token"), files.special.get("eos_token")}
    for text, number in vocabulary.items():
        if (text in wanted or number in files.eos_ids) and text not in added:
            added[text] = {"id": number, "content": text, "special": True, **_PLAIN}
        elif number in files.eos_ids:
            added[text]["special"] = True
    return {text: one for text, one in added.items() if text not in beyond}


def _vocabulary(files: TokenizerFiles) -> dict[str, int]:
    given = files.tokenizer["model"].get("vocab")
    try:
        if isinstance(given, list):
            vocabulary = {piece: number for number, (piece, _) in enumerate(given)}
        else:
            vocabulary = {str(piece): int(number) for piece, number in dict(given).items()}
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{files.name}: {TOKENIZER_NAME}: the vocabulary cannot be read ({error})."
        ) from error
    largest = max(vocabulary.values(), default=-1)
    if files.table is not None and largest >= files.table:
        raise ConfigError(
            f"{files.name}: the tokenizer has ids up to {largest}, and the model's table only "
            f"{files.table} rows. Import the model with its own tokenizer."
        )
    return vocabulary


def _is_total(tokenizer: Mapping[str, Any]) -> bool:
    """Tell whether every text has tokens of its own, so that none becomes the unknown one."""
    return bool(tokenizer["model"].get("byte_fallback")) or _is_byte_level(tokenizer)


def _stand_ins(controls: Iterable[str], name: str) -> dict[str, str]:
    stripped = [text.strip() for text in controls]
    edges = sorted({edge for text in stripped if text for edge in (text[0], text[-1])})
    if len(edges) > len(STAND_INS):
        raise ConfigError(
            f"{name}: its special tokens begin and end with more than {len(STAND_INS)} characters."
        )
    return dict(zip(edges, STAND_INS, strict=False))


def _renamed(
    tokenizer: Mapping[str, Any], added: Mapping[str, Mapping[str, Any]], controls: Mapping[str, int]
) -> dict[str, Any]:
    """Give the content of ``tokenizer.json`` with control tokens renamed, nothing by chance, nothing cut."""
    names = {text: _name(number) for text, number in controls.items()}
    model = dict(tokenizer["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    else:
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    if model.get("merges"):
        model["merges"] = [one for one in model["merges"] if not _makes(one, names)]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "dropout" in model:
        model["dropout"] = None
    tokens = [{**one, "content": names.get(text, text)} for text, one in added.items()]
    return {**tokenizer, "model": model, "added_tokens": tokens, "truncation": None, "padding": None}


def _makes(merge: Any, names: Mapping[str, str]) -> bool:
    """Tell whether a merge, written as a pair or with a space between, makes or takes a renamed piece."""
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left + right in names or left in names or right in names


def _load(content: Mapping[str, Any], name: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ConfigError(
            f"{name}: its tokenizer needs the extra `models`: pip install -e '.[models]' ({error})."
        ) from error
    try:
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(
            f"{name}: {TOKENIZER_NAME} cannot be used ({error}). Save the tokenizer anew with "
            "transformers' save_pretrained, or take a newer `tokenizers`."
        ) from error
