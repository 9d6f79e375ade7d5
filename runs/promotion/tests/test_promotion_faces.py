"""Promotion by command, API, page and admin, and who may."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from runs.models import Alias, AliasMove, AliasRule
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import at, grade, trained
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db

SCOPE = "golden-v2"


def told(capsys, *words):
    call_command(*words, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command_promotes_and_lets_go(capsys):
    run = trained()
    said = told(
        capsys, "promote", str(run.pk), "--checkpoint", "5", "--as", "production", "--why", "it is good"
    )
    assert (said["scope"], said["step"], said["changed"], said["why"]) == (SCOPE, 5, True, "it is good")
    assert said["moved_by"].endswith(", by command")
    said = told(
        capsys, "promote", str(run.pk), "--checkpoint", "production", "--as", "candidate", "--why", "same"
    )
    assert said["step"] == 5
    assert (
        told(capsys, "promote", "--let-go", "--scope", SCOPE, "--as", "candidate", "--why", "x")["run_id"]
        is None
    )
    for wrong in (["--as", "x", "--why", "y"], [str(run.pk), "--as", "x", "--why", "y", "--let-go"]):
        with pytest.raises(CommandError) as refused:
            call_command("promote", *wrong)
        assert refused.value.returncode == 2


def test_the_command_goes_over_a_gate_only_where_it_is_told(capsys):
    run = trained()
    set_rule(scope=SCOPE, name="production", changes={"min_n": 10})
    words = ["promote", str(run.pk), "--checkpoint", "5", "--as", "production", "--why", "now"]
    with pytest.raises(CommandError, match="there is no evaluation of it on"):
        call_command(*words)
    assert told(capsys, *words, "--override")["changed"]


def test_aliases_lists_and_sets_rules(capsys):
    run = trained()
    grade(run, 10, 90)
    said = told(
        capsys, "aliases", "--scope", SCOPE, "--name", "best", "--follow", "answer_accuracy", "--history"
    )
    assert (said["aliases"][0]["step"], said["rules"][0]["metric"]) == (10, "answer_accuracy")
    assert said["history"][0]["to_run"] == run.pk
    sets = ["--set", "min_n=500", "--set", "min_accuracy=0.9", "--set", "grader=auto"]
    (rule,) = told(capsys, "aliases", "--scope", SCOPE, "--name", "production", *sets)["rules"]
    assert (rule["min_n"], rule["min_accuracy"], rule["grader"]) == (500, 0.9, "auto")
    assert len(told(capsys, "aliases")["rules"]) == 2
    assert told(capsys, "aliases", "--scope", SCOPE, "--name", "production", "--no-rule")["rules"] == []
    for wrong, message in ((["--set", "min_n=x"], "min_n"), (["--set", "min_n"], "FIELD=VALUE")):
        with pytest.raises(CommandError, match=message):
            call_command("aliases", "--scope", SCOPE, "--name", "x", *wrong)
    with pytest.raises(CommandError, match="Name the alias"):
        call_command("aliases", "--no-rule")


@pytest.fixture
def call(client, token_headers):
    headers = {scope: token_headers(scope) for scope in ("read", "operate", "admin")}

    def send(role, method, path, code, body=None, **query):
        answer = client.generic(
            method, f"/api/training/{path}", json.dumps(body) if body is not None else "",
            content_type="application/json", headers=headers[role], query_params=query,
        )  # fmt: skip
        assert answer.status_code == code, answer.content
        return answer.json() if answer.content else None

    return send


def test_the_api_promotes_lists_and_tells_every_move(call):
    run = trained()
    body = {"run_id": run.pk, "checkpoint": "5", "name": "production", "why": "it is good"}
    call("read", "POST", "aliases", 403, body)
    made = call("operate", "POST", "aliases", 201, body)
    assert (made["scope"], made["step"], made["on_disk"], made["version"]) == (SCOPE, 5, True, 1)
    assert made["moved_by"].startswith("operate-token")
    call("operate", "POST", "aliases", 200, body)
    assert call("read", "GET", "aliases", 200, scope=SCOPE) == [made]
    assert call("read", "GET", "aliases", 200, run=run.pk, name="production") == [made]
    assert call("read", "GET", "aliases", 200, name="other") == []
    call("operate", "POST", "aliases/let-go", 200, {"scope": SCOPE, "name": "production", "why": "bad"})
    history = call("read", "GET", "aliases/history", 200, scope=SCOPE, name="production")
    assert (history["count"], [one["version"] for one in history["items"]]) == (2, [2, 1])
    call("operate", "POST", "aliases/let-go", 404, {"scope": SCOPE, "name": "production", "why": "bad"})
    assert "no run" in call("operate", "POST", "aliases", 404, {**body, "run_id": 4711})["detail"]
    refusal = call("operate", "POST", "aliases", 404, {**body, "checkpoint": "x"})
    assert "points at no checkpoint" in refusal["detail"]


def test_rules_are_for_administrators_and_so_is_going_over_them(call):
    run = trained()
    rule = {"scope": SCOPE, "name": "production", "min_n": 100, "min_accuracy": 0.9}
    call("operate", "PUT", "aliases/rules", 403, rule)
    assert call("admin", "PUT", "aliases/rules", 200, rule)["min_n"] == 100
    changed = call("admin", "PUT", "aliases/rules", 200, {**rule, "min_accuracy": None})
    assert (changed["min_accuracy"], changed["min_n"]) == (None, 100)
    assert [one["name"] for one in call("read", "GET", "aliases/rules", 200, scope=SCOPE)] == ["production"]
    body = {"run_id": run.pk, "name": "production", "why": "now"}
    assert "there is no evaluation" in call("operate", "POST", "aliases", 409, body)["detail"]
    call("operate", "POST", "aliases", 403, {**body, "override": True})
    call("admin", "POST", "aliases", 201, {**body, "override": True})
    call("operate", "DELETE", f"aliases/rules/{SCOPE}/production", 403)
    call("admin", "DELETE", f"aliases/rules/{SCOPE}/production", 204)
    call("admin", "DELETE", f"aliases/rules/{SCOPE}/production", 404)


def test_the_tab_of_checkpoints_shows_names_and_promotes(client, operator, viewer):
    run = trained()
    client.force_login(operator)
    address = reverse("runs:aliases", args=[run.pk])
    form = {"step": at(run, 5).pk, "name": "production", "scope": SCOPE, "why": WILD}
    answer = client.post(address, form, follow=True)
    text = page_text(answer)
    assert "golden-v2:production points at step 5" in text
    assert text.count("badge-alias") == 1
    assert "Delete step 10" in text
    assert "Delete step 5" not in text
    assert "Let golden-v2:production go" in text
    assert "over its rule" not in text
    client.post(address, {"name": "golden-v2:production", "action": "let_go", "why": "bad"})
    assert AliasMove.objects.count() == 2
    assert "needs a reason" in page_text(client.post(address, {**form, "why": ""}, follow=True))
    assert client.post(address, {**form, "override": "1"}).status_code == 403
    for odd in ("x", "9" * 40, "", "٣"):
        assert client.post(address, {**form, "step": odd}).status_code == 404
    client.force_login(viewer)
    assert client.post(address, form).status_code == 403
    assert "Promote</button>" not in page_text(client.get(f"/runs/{run.pk}/checkpoints/"))


def test_the_leaderboard_shows_names_rules_and_moves(client, viewer):
    run = trained()
    grade(run, 10, 90)
    set_rule(scope=SCOPE, name="best", changes={"metric": "interval_low"})
    client.force_login(viewer)
    text = page_text(client.get(f"/leaderboard/{SCOPE}/"))
    assert "golden-v2:best since" in text
    assert "follows the highest" in text
    assert f"run {run.pk}, step 10" in text


def test_the_admin_promotes_and_writes_rules(client, administrator, make_user):
    run = trained()
    client.force_login(administrator)
    add = reverse("admin:runs_alias_add")
    form = {"scope": SCOPE, "name": "production", "checkpoint": at(run, 5).pk, "why": "it is good"}
    rule = {
        "scope": SCOPE, "name": "production", "metric": "", "higher_is_better": "", "split": "test",
        "grader": "",
        "content_hash": "", "min_n": "10", "min_accuracy": "0.5", "overlap": "none",
    }  # fmt: skip
    assert client.post(reverse("admin:runs_aliasrule_add"), rule).status_code == 302
    kept = AliasRule.objects.get()
    assert (kept.min_n, kept.changed_by) == (10, administrator)
    answer = client.post(add, form)
    assert "there is no evaluation of it" in page_text(answer)
    assert client.post(add, {**form, "override": "on"}).status_code == 302
    assert Alias.objects.get().checkpoint == at(run, 5)
    change = reverse("admin:runs_aliasrule_change", args=[kept.pk])
    page_text(client.get(change))
    assert client.post(change, {**rule, "name": "other", "min_n": "20"}).status_code == 302
    assert (AliasRule.objects.get().name, AliasRule.objects.get().min_n) == ("production", 20)
    assert "is no share" in page_text(client.post(change, {**rule, "min_accuracy": "7"}))
    page_text(client.get(reverse("admin:runs_alias_change", args=[Alias.objects.get().pk])))
    page_text(client.get(reverse("admin:runs_aliasmove_change", args=[AliasMove.objects.get().pk])))
    client.force_login(make_user("ann", "operator", is_staff=True))
    assert client.get(add).status_code == 200
    assert "needs the right" in page_text(client.post(add, {**form, "name": "production", "override": "on"}))
    assert client.get(reverse("admin:runs_aliasrule_add")).status_code == 403
    client.force_login(make_user("bob", "viewer", is_staff=True))
    assert client.get(add).status_code == 403
