"""What every page has in common: a login in front, strict headers, no inline code, one look."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tunix_site.tests.pages import OPEN_PAGES, PAGES, inline_code

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_login(client, path):
    response = client.get(path)
    assert response.status_code == 302
    assert response.headers["Location"].startswith(("/accounts/login/?next=", "/admin/login/?next="))


@pytest.mark.parametrize("path", ["/", "/runs/", "/datasets/", "/benchmarks/", "/api/docs"])
def test_a_person_without_a_role_is_told_whom_to_ask(client, make_user, path):
    client.force_login(make_user("nobody"))
    response = client.get(path)
    assert response.status_code == 403
    assert "administrator" in response.content.decode()


@pytest.mark.parametrize("path", ["/", "/runs/", "/datasets/", "/benchmarks/", "/api/docs"])
def test_a_viewer_sees_the_pages(client, viewer, path):
    client.force_login(viewer)
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, *OPEN_PAGES])
def test_no_page_holds_inline_code_or_fetches_from_elsewhere(admin_client, path):
    client = Client() if path in OPEN_PAGES else admin_client
    assert inline_code(client.get(path).content.decode()) == []


def test_the_finder_of_inline_code_finds_it():
    bad = (
        '<p style="x"><script>x</script><a onclick="x" href="javascript:x"><script src="//cdn/x.js"></script>'
    )
    assert len(inline_code(bad)) == 5
    assert (
        inline_code('<script type="application/json">{}</script><script src="/static/x.js"></script>') == []
    )


@pytest.mark.parametrize("path", [*PAGES, *OPEN_PAGES, "/api/health", "/static/css/site.css"])
def test_every_answer_carries_the_strict_headers(admin_client, path):
    headers = admin_client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Permissions-Policy"]


def test_pages_stay_out_of_caches_and_static_files_may_be_kept(admin_client):
    assert admin_client.get("/runs/").headers["Cache-Control"] == "private, no-store"
    assert "max-age" in admin_client.get("/static/css/site.css").headers["Cache-Control"]


def test_every_static_file_that_a_page_names_is_there(admin_client):
    for path in PAGES:
        for name in re.findall(r'(?:src|href)="/static/([^"]+)"', admin_client.get(path).content.decode()):
            assert finders.find(name), f"{path} names {name}"


@pytest.mark.parametrize(("path", "status"), [("/no-such-page/", 404), ("/runs/999999/", 404)])
def test_error_pages_wear_the_sites_look(admin_client, path, status):
    response = admin_client.get(path)
    assert response.status_code == status
    assert "css/site.css" in response.content.decode()


def test_a_form_without_its_token_gets_a_page_that_says_what_to_do():
    response = Client(enforce_csrf_checks=True).post("/accounts/login/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "reload" in response.content.decode()


def test_signing_in_and_out(client, viewer):
    wrong = client.post("/accounts/login/", {"username": "viewer", "password": "wrong"})
    assert "correct username and password" in wrong.content.decode()
    right = client.post(
        "/accounts/login/", {"username": "viewer", "password": "correct horse 1", "next": "/datasets/"}
    )
    assert right.headers["Location"] == "/datasets/"
    assert client.get("/runs/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/runs/").status_code == 302


def test_the_login_leads_nowhere_else(client, viewer):
    fields = {"username": "viewer", "password": "correct horse 1", "next": "https://evil.example.org/"}
    assert client.post("/accounts/login/", fields).headers["Location"] == "/"
