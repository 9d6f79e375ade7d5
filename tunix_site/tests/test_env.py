"""Reading the environment: what is taken, and what is refused in one clear line."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from tunix_site.env import Env, parse_database_url

BASE = Path("/srv/site")


@pytest.mark.parametrize("word", ["1", "true", "YES", "On"])
def test_words_for_yes(word):
    assert Env({"X": word}).flag("X") is True


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_words_for_no(word):
    assert Env({"X": word}).flag("X", default=True) is False


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_means_its_default(value):
    env = Env({"X": value})
    assert env.flag("X", default=True) is True
    assert env.number("X", default=7, least=1, most=9) == 7
    assert env.hosts("X", default=["localhost"]) == ["localhost"]


@pytest.mark.parametrize(
    ("read", "value", "allowed"),
    [
        (lambda env: env.flag("X"), "maybe", "1, true, yes, on"),
        (lambda env: env.number("X", default=1, least=1, most=9), "10", "from 1 to 9"),
        (lambda env: env.number("X", default=1, least=1, most=9), "1e1", "whole number"),
        (lambda env: env.number("X", default=1, least=1, most=9), "٣", "whole number"),
        (lambda env: env.choice("X", default="a", allowed=("a", "b")), "c", "a, b"),
        (lambda env: env.hosts("X", default=[]), "https://example.org", "without scheme"),
        (lambda env: env.hosts("X", default=[]), "example.org:8000", "port"),
        (lambda env: env.origins("X"), "example.org", "https://"),
        (lambda env: env.origin("X", default="http://localhost"), "http://a b", "origin"),
        (lambda env: env.time_zone("X", default="UTC"), "Mars/Base", "time zone"),
    ],
)
def test_a_bad_value_is_named_with_its_variable_and_what_is_allowed(read, value, allowed):
    with pytest.raises(ImproperlyConfigured) as caught:
        read(Env({"X": value}))
    message = str(caught.value)
    assert "X=" in message
    assert repr(value) in message
    assert allowed in message
    assert "\n" not in message


def test_hosts_may_be_names_wildcards_and_addresses():
    env = Env({"X": "train.example.org, .example.net,10.0.0.3,::1,[::1],*"})
    assert env.hosts("X", default=[]) == [
        "train.example.org",
        ".example.net",
        "10.0.0.3",
        "[::1]",
        "[::1]",
        "*",
    ]


def test_a_secret_may_come_from_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("hush\n")
    assert Env({"X_FILE": str(file)}).secret("X") == "hush"


def test_a_secret_given_twice_is_refused_without_showing_it(tmp_path):
    with pytest.raises(ImproperlyConfigured) as caught:
        Env({"X": "hush", "X_FILE": str(tmp_path / "secret")}).secret("X")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_holds_no_secret_is_refused(tmp_path, content):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match="X_FILE"):
        Env({"X_FILE": str(file)}).secret("X")


def test_a_relative_path_starts_at_the_base():
    assert Env({"X": "out"}).path("X", base=BASE, default=BASE) == BASE / "out"
    assert Env({"X": "/data"}).path("X", base=BASE, default=BASE) == Path("/data")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///my.db", BASE / "my.db"),
        ("sqlite:////data/my.db", Path("/data/my.db")),
        ("sqlite:///a%20b.db", BASE / "a b.db"),
    ],
)
def test_an_sqlite_address_is_a_path(url, name):
    database = parse_database_url(url, base=BASE)
    assert database["NAME"] == name
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_postgresql_address_is_taken_apart():
    database = parse_database_url(
        "postgresql://ann:p%40ss@db.example.org:5433/tunix?sslmode=require", base=BASE
    )
    assert (database["USER"], database["PASSWORD"], database["HOST"], database["PORT"], database["NAME"]) == (
        "ann",
        "p@ss",
        "db.example.org",
        "5433",
        "tunix",
    )
    assert database["OPTIONS"] == {"sslmode": "require"}
    assert database["CONN_HEALTH_CHECKS"] is True


def test_a_postgresql_socket_is_given_as_host():
    assert (
        parse_database_url("postgresql:///tunix?host=/run/postgresql", base=BASE)["HOST"] == "/run/postgresql"
    )


@pytest.mark.parametrize(
    "url",
    [
        "db.sqlite3",
        "mysql://root:hunter2@localhost/x",
        "sqlite://my.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "postgresql://ann:hunter2@localhost/",
        "postgresql://ann:hunter2@localhost/a/b",
        "postgresql://ann:hunter2@localhost:port/a",
        "postgresql://ann:hunter2@localhost/a?options=-c",
    ],
)
def test_other_database_addresses_are_refused_and_no_password_is_shown(url):
    with pytest.raises(ImproperlyConfigured) as caught:
        parse_database_url(url, base=BASE)
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
