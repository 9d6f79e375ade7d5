"""The life of a token: made, shown once, used, narrowed by its user, revoked, expired."""

import hashlib
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tunix_site.models import ApiToken, AuditEvent
from tunix_site.roles import user_scope
from tunix_site.services import issue_token, revoke_token

pytestmark = pytest.mark.django_db

URL = "/api/training/runs"


def status(client, token, method="GET"):
    return client.generic(
        method, URL, "[]", "application/json", headers={"Authorization": f"Bearer {token}"}
    ).status_code


def test_only_the_hash_of_a_token_is_stored(operator):
    issued = issue_token(user=operator, scope="operate")
    row = ApiToken.objects.get()
    assert row.digest == hashlib.sha256(issued.token.encode()).hexdigest()
    stored = " ".join(str(getattr(row, field.attname)) for field in row._meta.concrete_fields)
    assert issued.token not in stored
    assert issued.token.startswith(row.prefix)


@pytest.mark.parametrize(
    ("scope", "reads", "writes"), [("read", 200, 403), ("operate", 200, 422), ("admin", 200, 422)]
)
def test_a_token_does_what_its_scope_says(client, administrator, scope, reads, writes):
    token = issue_token(user=administrator, scope=scope).token
    assert (status(client, token), status(client, token, "POST")) == (reads, writes)


def test_a_token_never_does_more_than_its_user_may(client, viewer):
    token = issue_token(user=viewer, scope="admin").token
    assert (status(client, token), status(client, token, "POST")) == (200, 403)


def test_a_revoked_token_is_dead(client, viewer, administrator):
    issued = issue_token(user=viewer, scope="read")
    assert status(client, issued.token) == 200
    assert revoke_token(token=issued.row, actor=administrator) is True
    assert status(client, issued.token) == 401
    assert revoke_token(token=issued.row, actor=administrator) is False
    assert AuditEvent.objects.filter(action="token.revoke", actor=administrator).count() == 1


def test_an_expired_token_is_dead(client, viewer):
    past = timezone.now() - timedelta(seconds=1)
    assert status(client, issue_token(user=viewer, scope="read", expires_at=past).token) == 401


def test_a_closed_account_closes_its_tokens(client, viewer):
    token = issue_token(user=viewer, scope="read").token
    viewer.is_active = False
    viewer.save()
    assert status(client, token) == 401


def test_the_last_use_is_written_down_at_most_once_a_minute(client, viewer):
    issued = issue_token(user=viewer, scope="read")
    status(client, issued.token)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    status(client, issued.token)
    assert ApiToken.objects.get().last_used_at == first


def test_the_command_prints_the_token_alone(client, operator):
    out, err = StringIO(), StringIO()
    call_command("create_token", "operator", "--scope", "operate", stdout=out, stderr=err)
    token = out.getvalue().removesuffix("\n")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", token)
    assert err.getvalue() == ""
    assert status(client, token) == 200


def test_the_command_lets_the_user_join_the_role_that_the_scope_needs_and_says_so(client, make_user):
    user = make_user("ann")
    out, err = StringIO(), StringIO()
    call_command("create_token", "ann", "--scope", "read", stdout=out, stderr=err)
    assert "viewer" in err.getvalue()
    user = type(user).objects.get(pk=user.pk)
    assert user_scope(user) == "read"
    assert status(client, out.getvalue().strip()) == 200


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nobody", "--scope", "read"], 1, "nobody"),
        (["viewer", "--scope", "read", "--expires_in_days", "0"], 1, "0"),
    ],
)
def test_the_command_says_what_is_wrong(viewer, arguments, code, says):
    with pytest.raises(CommandError) as caught:
        call_command("create_token", *arguments)
    assert caught.value.returncode == code
    assert says in str(caught.value)


def test_roles_cover_one_another(viewer, operator, administrator, make_user, admin_user):
    scopes = [user_scope(user) for user in (make_user("none"), viewer, operator, administrator, admin_user)]
    assert scopes == [None, "read", "operate", "admin", "admin"]
