"""Which ids end a text, and which one fills what no trace takes. Imports no JAX."""

from training.errors import ConfigError
from training.hf.encoder import Encoder
from training.hf.tokenizer_files import TokenizerFiles

_RESERVED = ("reserved", "unused", "placeholder", "extra", "dummy")


def end_ids(files: TokenizerFiles, encoder: Encoder, end: str) -> tuple[int, ...]:
    """Give the ids after which a text is over; the first is the one that traces end with.

    ``end`` is the text of the token that the chat template ends a turn with, empty where there is none.

    Raises:
        ConfigError: when nothing says how a text ends.
    """
    known = set(encoder.ids.values())
    first = encoder.controls.get(end)
    eos = encoder.ids.get(files.special.get("eos_token", ""))
    found = [one for one in (first, eos, *files.eos_ids) if one is not None and one in known]
    if not found:
        raise ConfigError(
            f"{files.name}: nothing says which token ends a text: tokenizer_config.json names no eos_token "
            "that the tokenizer has, and neither generation_config.json nor config.json an eos_token_id. "
            "Add one and import it anew."
        )
    return tuple(dict.fromkeys(found))


def pad_id(files: TokenizerFiles, encoder: Encoder, ends: tuple[int, ...]) -> int:
    """Choose the id that fills rows: never an end, and never one that a text or the template can hold.

    The tokenizer's own comes first, then one named so, the unknown token where no text can give it, a
    reserved one, a row of the model's table that no token has, and any special token that nothing uses.

    Raises:
        ConfigError: when nothing serves.
    """
    used = {number for text, number in encoder.special.items() if text in files.template}
    used |= {encoder.ids.get(files.special.get("bos_token", ""), -1), *ends}
    unknown = encoder.ids.get(
        files.special.get("unk_token") or str(files.tokenizer["model"].get("unk_token") or "")
    )
    free = {
        text: number
        for text, number in sorted(encoder.special.items(), key=lambda item: -item[1])
        if number not in used and (number != unknown or encoder.is_total)
    }
    own = files.special.get("pad_token", "")
    named = [number for text, number in free.items() if "pad" in text.lower()]
    reserved = [number for text, number in free.items() if any(word in text.lower() for word in _RESERVED)]
    candidates: list[int | None] = [
        *([free[own]] if own in free else []),
        *named,
        *([unknown] if unknown in free.values() else []),
        *reserved,
        *([encoder.size] if files.table is not None and files.table > encoder.size else []),
        *free.values(),
    ]
    chosen = next((one for one in candidates if one is not None), None)
    if chosen is None:
        raise ConfigError(
            f"{files.name}: no token can fill the rest of a row: the tokenizer has no pad_token that is "
            "not also an end, and no special token to spare. Add a <pad> token to the tokenizer and a row "
            "to the model, or take another model."
        )
    return chosen
