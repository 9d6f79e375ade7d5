"""What the address of a leaderboard asks for, and the addresses that lead on from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

LONGEST = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """The choices of a leaderboard: split, grader or board, all evaluations, without overlap, the page."""

    split: str = ""
    grader: str = ""
    board: str = ""
    every: bool = False
    hide_overlap: bool = False
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Asked":
        """Read an address; what cannot be meant counts as not asked for."""
        page = query.get("page", "")
        return cls(
            split=_word(query, "split"),
            grader=_word(query, "grader"),
            board=_word(query, "board"),
            every=query.get("all") == "1",
            hide_overlap=query.get("overlap") == "hide",
            page=int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 9 else 1,
        )

    def link(self, **changes: object) -> str:
        """Give the query string with some choices changed."""
        new = replace(self, **changes)  # type: ignore[arg-type]
        named = {
            "split": new.split,
            "grader": new.grader,
            "board": new.board,
            "all": "1" if new.every else "",
            "overlap": "hide" if new.hide_overlap else "",
            "page": str(new.page) if new.page > 1 else "",
        }
        return "?" + urlencode({name: value for name, value in named.items() if value})


def _word(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\x00", "")[:LONGEST]
