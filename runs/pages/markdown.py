"""Markdown as notes need it, made into HTML that is safe by its making.

Every character of the text is escaped on its way out; the only tags are those written here, and the only
addresses are http, https and those of this site. The time is linear in the length of the text, whatever it
holds: general parsers take seconds for a few hostile kilobytes. Headings, lists, quotes, code, tables,
emphasis and links are known; HTML and images stay text.
"""

import re
from dataclasses import dataclass, field
from html import escape
from typing import Final

from django.utils.safestring import SafeString, mark_safe

from runs.pages.markdown_inline import inline

DEEPEST_QUOTE: Final = 3
DEEPEST_LIST: Final = 6
# The page has a heading of its own above those of a note.
HEADING_SHIFT: Final = 2

# Repetitions are possessive (`*+`): where what one took may begin the next, giving it back would be tried
# at every character, which takes seconds for one long line.
_FENCE = re.compile(r" {0,3}(`{3,}+|~{3,}+)[^`]*+\Z")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?\Z")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*+\1){2,}+[ \t]*+\Z")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"([ \t]*)([-*+]|\d{1,9}[.)])[ \t]+(?=\S)")
_RULED = re.compile(r"[ \t]*+\|?+[ \t]*+:?+-++:?+[ \t]*+(?:\|[ \t]*+:?+-++:?+[ \t]*+)*+\|?+[ \t]*+\Z")


def to_html(text: str) -> SafeString:
    """Render a note."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4).split("\n")
    return mark_safe("\n".join(_Blocks(lines, depth=0).render()))  # noqa: S308  # escaped piece by piece


@dataclass(slots=True)
class _List:
    """A list that is open: its indentation and its tag."""

    indent: int
    tag: str


@dataclass(slots=True)
class _Blocks:
    """Turns lines into blocks, one after the other; each line is looked at once for each quote around it."""

    lines: list[str]
    depth: int
    at: int = 0
    out: list[str] = field(default_factory=list)

    def render(self) -> list[str]:
        """Give the blocks as HTML."""
        while self.at < len(self.lines):
            self._block()
        return self.out

    def _block(self) -> None:
        line = self.lines[self.at]
        if not line.strip():
            self.at += 1
        elif found := _FENCE.match(line):
            self._code(found[1])
        elif found := _HEADING.match(line):
            level = min(6, len(found[1]) + HEADING_SHIFT)
            words = (found[2] or "").rstrip().rstrip("#").rstrip()
            self.out.append(f'<h{level} dir="auto">{inline(words)}</h{level}>')
            self.at += 1
        elif _RULE.match(line):
            self.out.append("<hr>")
            self.at += 1
        elif self.depth < DEEPEST_QUOTE and _QUOTE.match(line):
            self._quote()
        elif _ITEM.match(line):
            self._list()
        elif self._is_table():
            self._table()
        else:
            self._paragraph()

    def _code(self, fence: str) -> None:
        first = self.at + 1
        end = first
        while end < len(self.lines) and not self._closes(self.lines[end], fence):
            end += 1
        code = "\n".join(self.lines[first:end])
        self.out.append(f'<pre tabindex="0"><code>{escape(code)}</code></pre>')
        self.at = end + 1

    @staticmethod
    def _closes(line: str, fence: str) -> bool:
        bare = line.strip()
        return len(bare) >= len(fence) and not bare.strip(fence[0])

    def _quote(self) -> None:
        inner = []
        while self.at < len(self.lines) and (found := _QUOTE.match(self.lines[self.at])):
            inner.append(self.lines[self.at][found.end() :])
            self.at += 1
        self.out += ["<blockquote>", *_Blocks(inner, self.depth + 1).render(), "</blockquote>"]

    def _list(self) -> None:
        opened: list[_List] = []
        words: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            found = _ITEM.match(line)
            if found is None or _RULE.match(line):
                if not words or not line.strip() or self._begins_another(line):
                    break
                words.append(line)
            else:
                self._say(words)
                words = [line[found.end() :]]
                self._open(opened, len(found[1]), found[2])
            self.at += 1
        self._say(words)
        self.out += [f"</li></{one.tag}>" for one in reversed(opened)]

    def _say(self, words: list[str]) -> None:
        if words:
            self.out.append(inline("\n".join(words).strip()))

    def _open(self, opened: list[_List], indent: int, mark: str) -> None:
        """Begin an item: deeper than the one before, or after closing those that stand further in."""
        tag, number = ("ul", "") if mark in "-*+" else ("ol", mark[:-1])
        while opened and opened[-1].indent > indent:
            self.out.append(f"</li></{opened.pop().tag}>")
        if opened and (opened[-1].indent + 1 >= indent or len(opened) >= DEEPEST_LIST):
            if opened[-1].tag == tag:
                self.out.append('</li><li dir="auto">')
                return
            self.out.append(f"</li></{opened.pop().tag}>")
        opened.append(_List(indent, tag))
        start = f' start="{number}"' if number.isascii() and number not in {"", "1"} else ""
        self.out.append(f'<{tag}{start}><li dir="auto">')

    def _is_table(self) -> bool:
        if "|" not in self.lines[self.at] or self.at + 1 >= len(self.lines):
            return False
        ruled = self.lines[self.at + 1]
        return bool(_RULED.match(ruled)) and len(_cells(self.lines[self.at])) == len(_cells(ruled))

    def _table(self) -> None:
        heads = _cells(self.lines[self.at])
        columns = len(heads)
        self.at += 2
        named = "".join(f'<th dir="auto">{inline(one)}</th>' for one in heads)
        self.out.append(
            '<div class="table-scroll" tabindex="0" role="region" aria-label="Table of the notes">'
        )
        self.out.append(f'<table class="data"><thead><tr>{named}</tr></thead><tbody>')
        while self.at < len(self.lines) and "|" in self.lines[self.at]:
            cells = _cells(self.lines[self.at])[:columns]
            row = "".join(f'<td dir="auto">{inline(one)}</td>' for one in cells)
            self.out.append(f"<tr>{row}</tr>")
            self.at += 1
        self.out.append("</tbody></table></div>")

    def _paragraph(self) -> None:
        words = [self.lines[self.at]]
        self.at += 1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip() or self._begins_another(line):
                break
            words.append(line)
            self.at += 1
        self.out.append(f'<p dir="auto">{inline(chr(10).join(words).strip())}</p>')

    def _begins_another(self, line: str) -> bool:
        return bool(
            _FENCE.match(line)
            or _HEADING.match(line)
            or _RULE.match(line)
            or _ITEM.match(line)
            or (self.depth < DEEPEST_QUOTE and _QUOTE.match(line))
        )


def _cells(line: str) -> list[str]:
    bare = line.strip().removeprefix("|").removesuffix("|")
    return [one.strip() for one in bare.split("|")]
