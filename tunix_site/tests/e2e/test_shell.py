"""The site's frame in a real browser: login, navigation, theme, admin, API description."""

import pytest
from playwright.sync_api import expect

from tunix_site.tests.browser import WIDTHS, fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = {
    "runs": "/runs/",
    "datasets": "/datasets/",
    "benchmarks": "/benchmarks/",
    "admin": "/admin/",
    "admin-tokens": "/admin/tunix_site/apitoken/",
    "api": "/api/docs",
}


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_a_person_signs_in_looks_around_and_signs_out(site, viewer):
    page = site.open("/datasets/")
    assert "/accounts/login/" in page.url
    page.get_by_label("User name").fill("viewer")
    page.get_by_label("Password").fill("correct horse 1")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/datasets/")
    for name in ("Runs", "Datasets", "Benchmarks"):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
        page.wait_for_url(f"**/{name.lower()}/")
        assert page.locator('.site-nav a[aria-current="page"]').inner_text() == name
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/")


def test_a_wrong_password_is_said_beside_the_form(site, viewer):
    page = site.open("/accounts/login/")
    page.get_by_label("User name").fill("viewer")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "correct username" in page.get_by_role("alert").inner_text()


def test_the_theme_follows_the_system_until_a_person_chooses_and_then_stays(site, viewer):
    page = site.open("/runs/", user=viewer, theme="dark")
    dark = background(page)
    switch = page.locator("[data-theme-switch]")
    body = page.locator("body")
    switch.click()
    # Colours may fade from one to the other, so each is waited for.
    expect(body).not_to_have_css("background-color", dark)
    page.goto("/datasets/")
    expect(body).not_to_have_css("background-color", dark)
    light = background(page)
    switch.click()
    expect(body).to_have_css("background-color", dark)
    assert light != dark
    switch.click()
    assert page.evaluate("localStorage.getItem('theme')") == "auto"


def test_the_theme_is_there_before_the_first_paint(site):
    page = site.open("/accounts/login/")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.add_init_script(
        "const look = () => { if (document.body) window.seen ??= document.documentElement.dataset.theme; };"
        "new MutationObserver(look).observe(document, { childList: true, subtree: true });"
    )
    page.reload()
    assert page.evaluate("window.seen") == "dark"


def test_the_keyboard_reaches_the_content_first(site, viewer):
    page = site.open("/runs/", user=viewer)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.long
def test_the_pages_open_without_complaint_at_every_width(site, administrator, theme, width):
    for name, path in PAGES.items():
        page = site.open(path, user=administrator, theme=theme, width=width)
        site.settle(page)
        assert page.title()
        assert fits(page), f"{name} scrolls sideways at {width}"
        shoot(page, f"{name}-{theme}-{width}")


def test_the_api_can_be_tried_from_its_description(site, operator):
    page = site.open("/api/docs", user=operator)
    page.wait_for_selector(".opblock")
    route = page.locator("#operations-site-tunix_site_api_health, .opblock", has_text="/api/health").first
    route.click()
    route.get_by_role("button", name="Try it out").click()
    route.get_by_role("button", name="Execute").click()
    route.locator(".live-responses-table", has_text="200").wait_for()


def test_error_pages_open_too(site, viewer):
    page = site.open("/runs/", user=viewer)
    page.goto("/no-such-page/")
    assert "There is nothing here" in page.inner_text("h1")
    site.complaints[:] = [text for text in site.complaints if "404" not in text]
