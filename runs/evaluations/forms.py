"""What the form of an evaluation asks for."""

from collections.abc import Mapping
from typing import Any, Final

from training.decoding import Decoding
from tunix_site.errors import InvalidInputError

MAX_DIGITS: Final = 20
NUMBERS: Final = ("limit", "subset_seed")


def read_wanted(form: Mapping[str, str]) -> dict[str, Any]:
    """Read the fields of a form that are filled in, as the verb takes them.

    Raises:
        InvalidInputError: naming a number that is none.
    """
    wanted: dict[str, Any] = {
        name: text for name in ("checkpoint", "dataset", "split", "grader") if (text := _text(form, name))
    }
    wanted |= {name: _number(name, text, int) for name in NUMBERS if (text := _text(form, name))}
    decoding = {
        name: _number(name, text, field.annotation)
        for name, field in Decoding.model_fields.items()
        if (text := _text(form, name))
    }
    return {**wanted, "decoding": decoding}


def _text(form: Mapping[str, str], name: str) -> str:
    return str(form.get(name, "")).replace("\x00", "").strip()


def _number(name: str, text: str, kind: Any) -> int | float:
    try:
        if len(text) > MAX_DIGITS:
            raise ValueError
        return int(text) if kind is int else float(text)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise InvalidInputError(f"{name.replace('_', '-')}: {text[:MAX_DIGITS]!r} is no {what}.") from None
