"""Notes in Markdown: what is known becomes HTML, everything else stays text, in time linear in its length."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.pages.markdown import to_html

ALLOWED = {
    "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "hr", "br", "em", "strong",
    "del", "a", "div", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {"dir", "start", "tabindex", "role", "aria-label", "class", "href", "rel"}
VOID = {"hr", "br"}


class Judge(HTMLParser):
    """Reads HTML as a browser would, and keeps what must not be there."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ALLOWED:
            self.bad.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.bad.append(f"{tag} {name}")
            if name == "href":
                self.links.append(value or "")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(f"/{tag}")

    def handle_comment(self, data):
        self.bad.append("comment")


def judge(text: str) -> Judge:
    found = Judge()
    found.feed(to_html(text))
    found.close()
    assert found.bad == []
    assert found.open == []
    return found


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Title #", '<h3 dir="auto">Title</h3>'),
        ("###### deep", '<h6 dir="auto">deep</h6>'),
        ("a\nb\n\nc", '<p dir="auto">a\nb</p>\n<p dir="auto">c</p>'),
        ("hard  \nbreak", '<p dir="auto">hard<br>break</p>'),
        ("**b *i* b** ~~no~~ _e_", "<strong>b <em>i</em> b</strong> <del>no</del> <em>e</em>"),
        ("snake_case_name 2 * 3 * 4", "snake_case_name 2 * 3 * 4"),
        ("*open **closed**", "*open <strong>closed</strong>"),
        ("`a < b` ``x ` y``", "<code>a &lt; b</code> ``x ` y``"),
        (r"\*text\* \_", "*text* _"),
        ("[run](/runs/7/)", '<a href="/runs/7/" rel="noopener noreferrer nofollow">run</a>'),
        ("see https://x.org/a_(b).", "see <a"),
        ("<https://x.org/?a=1&b=2>", 'href="https://x.org/?a=1&amp;b=2"'),
        ("- a\n- b\n  - c\n- d", "<ul><li"),
        ("3. c\n4. d", '<ol start="3">'),
        ("> a\n> > b", "<blockquote>"),
        ("| a | b |\n|--|:-:|\n| 1 | 2 |", '<td dir="auto">2</td>'),
        ("```py\n<b>\n```\nafter", '<pre tabindex="0"><code>&lt;b&gt;</code></pre>'),
        ("---", "<hr>"),
        ("", ""),
    ],
)
def test_what_is_known_becomes_html(text, html):
    assert html in to_html(text)
    judge(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](//evil.example.org)",
        "[x](/\\evil.example.org)",
        '[x](https://a" onclick="alert(1))',
        "[x](https://a' onclick='alert(1))",
        "<javascript:alert(1)>",
        '<https://x.org/"onmouseover=alert(1)>',
        "![x](https://evil.example.org/pixel.png)",
        "[<script>](https://x.org)",
        "[a [b](https://x.org) c](https://y.org)",
        "[x](\x01javascript:alert(1))",
        "[x](java\nscript:alert(1))",
        "`<script>`",
        '```"><script>\n</code><script>alert(1)</script>\n```',
        "| <script> | b |\n|--|--|\n| <img src=x> | [x](javascript:1) |",
        "# <script>x</script>",
        "- <b onclick=x>",
        "**<b>**",
        "<!-- comment -->",
        "&lt;script&gt; &#106;avascript:",
        'https://x.org/"><script>alert(1)</script>',
    ],
)
def test_hostile_text_stays_text(text):
    found = judge(text)
    for link in found.links:
        assert re.match(r"https?://[^\s\"'<>]*\Z|/[^/\\]", link), link


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"*_~`[]()<>|#-+>!\\ \n\t:.\"'&/", "1. ", "- ", "> ", "  ", "```", "~~~", "](",
             "https://", "javascript:", "|--|", "\n\n", "**", "a", "ü", "\u202e", "\x00", "<script>",
             "<a href='"]
        ),
        max_size=80,
    ).map("".join)
)  # fmt: skip
def test_any_text_gives_sound_html_of_known_tags_alone(text):
    for link in judge(text).links:
        assert link.lower().startswith(("http://", "https://")) or re.match(r"/[^/\\]|/\Z", link)


N = 100_000
HOSTILE = [
    "[", "![", "*a _b ", "*", "> ", "`", "`a``b", "<", "](", "[a](", "[a](/x(y)", "~a ", "&", "\\",
    "[](<", "*a **a ", "- ", "# ", "a  \n", "- a\n1. b\n", "http://", "<http://a", "- -", "_", "a_ ",
    "```\n~~~\n", "1. ", "|", "-|", "a|b\n", "\n", "\t", " ", "x\n> ", "**a", "(", ")", "<!--",
    "\x1b[31m", "1", "=\n",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("begin", ["", "|a|b|\n|-|-|\n", ">" * 50, "[a](/x"])
def test_a_hundred_thousand_characters_of_anything_take_no_time(piece, begin):
    text = (begin + piece * N)[:N]
    began = time.perf_counter()
    html = to_html(text)
    assert time.perf_counter() - began < 2
    assert len(html) < 40 * N


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        ("a|b\n", " ", "x"), ("a|b\n-", " ", "x"), ("a|b\n", "-", "x"), ("", "~", "`"), ("~~~", " ", "`"),
        ("```", " ", "`"), ("```", "a", "`"), ("a", " ", "b"), ("*", " *", "x"), ("-", "-", "x"),
    ],
)  # fmt: skip
def test_a_long_run_of_one_character_that_ends_otherwise_takes_no_time(begin, piece, end):
    text = (begin + piece * N)[: N - 1] + end
    began = time.perf_counter()
    to_html(text)
    assert time.perf_counter() - began < 2


def test_lists_and_quotes_go_only_so_deep():
    nested = "\n".join("  " * depth + "- x" for depth in range(400))
    assert to_html(nested).count("<ul>") <= 6
    assert to_html(">" * 1000 + " x").count("<blockquote>") == 3
