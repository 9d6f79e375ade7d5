"""Which projections a recipe's ``lora_targets`` names. Imports no JAX.

A form of its own instead of regular expressions: those can take longer than anybody waits.
"""

import re
from typing import Final

ALL: Final = "all-linear"
_ALLOWED: Final = re.compile(r"[A-Za-z0-9_.*?|]+")


def check_targets(wanted: str) -> None:
    """Refuse what is neither ``all-linear`` nor patterns.

    Raises:
        ValueError: saying what patterns are made of.
    """
    if wanted == ALL:
        return
    if not _ALLOWED.fullmatch(wanted) or not all(one.strip("*") for one in wanted.split("|")):
        raise ValueError(
            f"lora_targets takes {ALL}, or patterns with | between them, of letters, digits, _ and ., with * "
            "for any text and ? for one character, such as q_proj|v_proj or layers.0.*_proj"
        )


def is_target(wanted: str, name: str) -> bool:
    """Tell whether a projection is meant, by its name such as ``layers.0.self_attn.q_proj``.

    A pattern may be found anywhere in the name.
    """
    return wanted == ALL or any(_is_found(pattern, name) for pattern in wanted.split("|"))


def _is_found(pattern: str, name: str) -> bool:
    """Look for the texts between the stars one after the other, each as early as it can be."""
    at = 0
    for part in pattern.split("*"):
        starts = range(at, len(name) - len(part) + 1)
        found = next((start for start in starts if _is_there(part, name, start)), None)
        if found is None:
            return False
        at = found + len(part)
    return True


def _is_there(part: str, name: str, start: int) -> bool:
    there = name[start : start + len(part)]
    return all(wanted in ("?", given) for wanted, given in zip(part, there, strict=True))
