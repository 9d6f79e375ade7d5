"""The login that `make demo` prints: made once, kept for its owner, never taken from a person."""

import json
import stat
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command

from tunix_site.demo_login import DEMO_USER, ensure_demo_login, login_file

pytestmark = pytest.mark.django_db


def test_a_second_call_prints_the_same_login():
    first, second = ensure_demo_login(), ensure_demo_login()
    assert (first.created, second.created) == (True, False)
    assert first.password == second.password
    assert authenticate(username=DEMO_USER, password=first.password) is not None


def test_the_password_is_for_its_owner_alone_and_differs_from_site_to_site(artifacts_dir):
    password = ensure_demo_login().password
    assert stat.S_IMODE(login_file().stat().st_mode) == 0o600
    User.objects.all().delete()
    login_file().unlink()
    assert ensure_demo_login().password != password


def test_a_fresh_database_takes_the_kept_password_over():
    password = ensure_demo_login().password
    User.objects.all().delete()
    again = ensure_demo_login()
    assert (again.created, again.password) == (True, password)


def test_a_password_that_a_person_set_is_left_alone():
    ensure_demo_login()
    user = User.objects.get(username=DEMO_USER)
    user.set_password("of my own choice")
    user.save()
    out, err = StringIO(), StringIO()
    call_command("ensure_demo_user", "--json", stdout=out, stderr=err)
    assert json.loads(out.getvalue()) == {"username": DEMO_USER, "password": None, "created": False}
    assert "changepassword" in err.getvalue()
    user.refresh_from_db()
    assert user.check_password("of my own choice")
