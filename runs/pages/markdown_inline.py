"""The words of a note within a line: emphasis, code and links, escaped piece by piece, in linear time."""

import re
from collections import Counter
from html import escape
from typing import Final

# Each part stops at the first character that cannot belong to it, so none is looked at again and again.
_URL = r"(?:https?://|/(?![/\\]))[^\s()<>\"\[\]\x00-\x1f]*(?:\([^\s()<>\"\[\]]*\)[^\s()<>\"\[\]]*)*"
_PART = re.compile(
    rf"""
    \\(?P<escaped>[!-/:-@\[-`{{-~])
    | (?<!`)(?P<ticks>`++)(?P<code>[^`]+)(?P=ticks)(?!`)
    | \[(?P<label>[^\[\]]+)\]\((?P<url>{_URL})\)
    | <(?P<plain>https?://[^\s<>"\x00-\x1f]+)>
    | (?<![\w/])(?P<bare>https?://[^\s<>"*\[\]\x00-\x1f]+)
    | (?P<mark>\*\*|~~|\*|(?<!\w)_|_(?!\w))
    | (?P<break>(?<!\ )\ {{2,}}+\n|\\\n)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAGS: Final = {"**": "strong", "*": "em", "_": "em", "~~": "del"}
# What ends a sentence is no part of the address before it.
_AFTER_URL: Final = ".,;:!?'_~)"
_REL: Final = 'rel="noopener noreferrer nofollow"'


def inline(text: str, *, links: bool = True) -> str:
    """Render the words of one block."""
    pieces = _Pieces()
    done = 0
    for found in _PART.finditer(text):
        if found.start() < done:
            continue
        pieces.words(text[done : found.start()])
        done = found.end()
        kind = found.lastgroup
        if kind == "escaped":
            pieces.words(found["escaped"])
        elif found["code"] is not None:
            pieces.out.append(f"<code>{escape(found['code'].strip() or found['code'])}</code>")
        elif found["url"] is not None:
            label = inline(found["label"], links=False)
            pieces.out.append(_link(found["url"], label) if links else label)
        elif found["plain"] is not None:
            pieces.out.append(_link(found["plain"], escape(found["plain"])) if links else escape(found[0]))
        elif found["bare"] is not None:
            address = found["bare"].rstrip(_AFTER_URL)
            done = found.start() + len(address)
            pieces.out.append(_link(address, escape(address)) if links else escape(address))
        elif found["mark"] is not None:
            before, after = text[found.start() - 1 : found.start()], text[done : done + 1]
            pieces.mark(found["mark"], opens=bool(after.strip()), closes=bool(before.strip()))
        else:
            pieces.out.append("<br>")
    pieces.words(text[done:])
    return pieces.html()


def _link(url: str, label: str) -> str:
    return f'<a href="{escape(url)}" {_REL}>{label}</a>'


class _Pieces:
    """Pieces of HTML, and the marks of emphasis that are still open; one without its other half is text."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._open: list[tuple[str, int]] = []
        self._counts: Counter[str] = Counter()

    def words(self, text: str) -> None:
        """Add plain text."""
        if text:
            self.out.append(escape(text))

    def mark(self, mark: str, *, opens: bool, closes: bool) -> None:
        """Add a mark; it closes the nearest of its kind, and what stood open within that stays text."""
        if closes and self._counts[mark]:
            while self._open:
                kind, place = self._open.pop()
                self._counts[kind] -= 1
                if kind == mark:
                    self.out[place] = f"<{_TAGS[mark]}>"
                    self.out.append(f"</{_TAGS[mark]}>")
                    return
        elif opens:
            self._open.append((mark, len(self.out)))
            self._counts[mark] += 1
        self.out.append(escape(mark))

    def html(self) -> str:
        """Give all pieces."""
        return "".join(self.out)
