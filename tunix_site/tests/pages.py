"""The pages that tests walk: every named address of the site, and markup that the CSP forbids."""

from html.parser import HTMLParser
from typing import Any


class InlineFinder(HTMLParser):
    """Collects inline scripts, inline styles, event handlers and addresses of other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        data_block = "json" in values.get("type", "")
        if tag == "script" and "src" not in values and not data_block:
            self.found.append("inline <script>")
        if tag == "style":
            self.found.append("<style>")
        for name, value in values.items():
            if name == "style" or name.startswith("on"):
                self.found.append(f"{tag} {name}={value!r}")
            if name in {"src", "href", "action"} and value.lower().startswith("javascript:"):
                self.found.append(f"{tag} {name}={value!r}")
        fetched = values.get("src", "") or (values.get("href", "") if tag == "link" else "")
        if fetched.startswith(("http:", "https:", "//")):
            self.found.append(f"{tag} fetches {fetched}")


def inline_code(markup: str) -> list[str]:
    """What in ``markup`` the site's content security policy would block."""
    finder = InlineFinder()
    finder.feed(markup)
    return finder.found


# A name that tries markup, templates, entities, quotes, other alphabets and their direction.
WILD = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}שלום 🦜 {{ name }} &amp; '\""


def page_text(answer: Any, code: int = 200) -> str:
    """Give the markup of an answer, which must have this status and hold nothing that the policy blocks."""
    assert answer.status_code == code, answer.content[:300]
    text = str(answer.content, "utf-8")
    assert inline_code(text) == []
    return text


PAGES = [
    "/",
    "/runs/",
    "/runs/compare/",
    "/runs/queue/",
    "/models/",
    "/recipes/",
    "/workers/",
    "/datasets/",
    "/benchmarks/",
    "/benchmarks/compare/",
    "/leaderboard/",
    "/evaluations/compare/",
    "/admin/",
    "/api/docs",
]
OPEN_PAGES = ["/accounts/login/", "/no-such-page/"]
