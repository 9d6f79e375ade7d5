"""Every page of the admin opens, for everybody who may open it and nobody else."""

import pytest
from django.contrib import admin
from django.urls import reverse

from tunix_site.models import ApiToken, AuditEvent
from tunix_site.services import issue_token, record_audit
from tunix_site.tests.pages import inline_code

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
LABELS = [model._meta.label for model in MODELS]


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_every_list_opens_searches_and_filters(admin_client, model):
    response = admin_client.get(address(model, "changelist"))
    assert response.status_code == 200
    assert inline_code(response.content.decode()) == []
    if admin.site._registry[model].search_fields:
        assert admin_client.get(address(model, "changelist"), {"q": "x"}).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_every_form_to_add_opens_where_adding_is_allowed(admin_client, rf, admin_user, model):
    request = rf.get("/")
    request.user = admin_user
    allowed = admin.site._registry[model].has_add_permission(request)
    response = admin_client.get(address(model, "add"))
    assert response.status_code == (200 if allowed else 403)
    if allowed:
        assert inline_code(response.content.decode()) == []


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_an_unknown_row_leads_back_to_the_index(admin_client, model):
    assert admin_client.get(address(model, "change", 999_999)).status_code == 302


def test_the_pages_of_the_queue_are_not_there():
    assert not [label for label in LABELS if label.startswith("django_q")]


def test_rows_of_the_site_open_and_cannot_be_changed(admin_client, administrator):
    issued = issue_token(user=administrator, scope="read", actor=administrator)
    event = record_audit(actor=administrator, action="test", detail={"x": 1})
    for model, row in ((ApiToken, issued.row), (AuditEvent, event)):
        response = admin_client.get(address(model, "change", row.pk))
        assert response.status_code == 200
        assert 'name="_save"' not in response.content.decode()
        assert admin_client.post(address(model, "change", row.pk), {}).status_code == 403
        assert admin_client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert issued.token not in admin_client.get(address(ApiToken, "change", issued.row.pk)).content.decode()


def test_an_administrator_revokes_tokens_from_the_list(client, administrator, viewer):
    row = issue_token(user=viewer, scope="read").row
    client.force_login(administrator)
    client.post(address(ApiToken, "changelist"), {"action": "revoke", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.revoked_at is not None


@pytest.mark.parametrize(("group", "sees_tokens"), [("viewer", False), ("operator", False), ("admin", True)])
def test_roles_open_the_admin_as_far_as_they_reach(client, make_user, group, sees_tokens):
    client.force_login(make_user("ann", group, is_staff=True))
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.get(address(ApiToken, "changelist")).status_code == (200 if sees_tokens else 403)
    assert client.get(reverse("admin:runs_run_changelist")).status_code == 200
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403


def test_a_person_who_is_not_staff_stays_outside(client, administrator, make_user):
    client.force_login(make_user("ann", "admin"))
    assert client.get(reverse("admin:index")).status_code == 302
