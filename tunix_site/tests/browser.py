"""A chromium that opens our pages and fails a test on any console error, refused request or policy violation.

The root conftest offers the fixtures ``chromium`` and ``site`` to every app.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

WIDTHS = {"phone": 390, "laptop": 1280, "wide": 1920}
TALLEST_PICTURE = 15_000


def find_chromium() -> str | None:
    """Return the browser that ``TUNIX_TEST_CHROMIUM`` names, or the first one on the path."""
    names = [os.environ.get("TUNIX_TEST_CHROMIUM") or os.environ.get("TUNIX_CHROMIUM") or ""]
    names += ["chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


@dataclass
class Site:
    """The live site in a browser: ``open`` gives pages, ``complaints`` keeps what went wrong in them."""

    browser: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)
    asked: set[Any] = field(default_factory=set)

    def open(self, path: str, *, user: Any = None, theme: str = "light", width: str = "laptop") -> Any:
        """Open a page as ``user`` (None: a stranger) in ``theme`` light or dark, at one of `WIDTHS`."""
        context = self.browser.new_context(
            base_url=self.url,
            color_scheme=theme,
            viewport={"width": WIDTHS[width], "height": 900},
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        self.contexts.append(context)
        if user is not None:
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": self.url}]
            )
        page = context.new_page()
        page.on("console", lambda message: self._hear(message.type, f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._leaves)
        page.on("request", self._begins)
        page.on("requestfinished", self._ends)
        page.on("requestfailed", self._ends)
        page.goto(path)
        return page

    def settle(self, page: Any) -> None:
        """Wait until what the page asked for has come, and was drawn.

        The driver's own "networkidle" waits half a second for each page.
        """
        page.wait_for_load_state("load")
        quiet = 0
        while quiet < 2:
            page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))")
            quiet = 0 if self.asked else quiet + 1

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} or "Content Security Policy" in text:
            self.complaints.append(f"{kind}: {text}")

    def _failed(self, request: Any) -> None:
        # A page that is left while it asks for something cancels the request: that is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url} failed: {request.failure}")

    def _begins(self, request: Any) -> None:
        self.asked.add(request)

    def _ends(self, request: Any) -> None:
        self.asked.discard(request)

    def _leaves(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"the page asked another host: {request.url}")

    def close(self) -> None:
        """Close every page."""
        for context in self.contexts:
            context.close()


def session_of(user: Any) -> str:
    """Return the key of a fresh session of ``user``."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def fits(page: Any) -> bool:
    """Tell whether the page needs no sideways scrolling."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def shoot(page: Any, name: str) -> None:
    """Keep a picture in ``screenshots/`` where ``TUNIX_SCREENSHOTS`` asks for them."""
    if os.environ.get("TUNIX_SCREENSHOTS", "0") not in {"", "0"}:
        folder = Path(settings.BASE_DIR) / "screenshots"
        folder.mkdir(exist_ok=True)
        # A page of a hundred windows is too much for one picture.
        whole = page.evaluate("document.documentElement.scrollHeight") <= TALLEST_PICTURE
        page.screenshot(path=folder / f"{name}.png", full_page=whole)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests of a session."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = find_chromium()
    if path is None:
        pytest.skip("no chromium on PATH (TUNIX_TEST_CHROMIUM names one elsewhere)")
    # Playwright keeps an event loop on this thread, which Django takes for asynchronous code.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox cannot start for root, which containers often run as.
        browser = driver.chromium.launch(
            executable_path=path, chromium_sandbox=os.geteuid() != 0, args=["--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
    else:
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def site(chromium: Any, live_server: Any) -> Iterator[Site]:
    """The live site; at the end of the test nothing may have complained."""
    opened = Site(chromium, live_server.url)
    yield opened
    opened.close()
    assert opened.complaints == []
