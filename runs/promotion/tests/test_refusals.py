"""What pages and the admin refuse to do to names, in words and never by an error page."""

import shutil

import pytest
from django.urls import reverse

from runs.models import Alias, AliasRule, Checkpoint
from runs.promotion import admin as promotion_admin
from runs.promotion.names import TAKEN
from runs.promotion.rules import set_rule
from runs.promotion.tests.support import at, grade, trained
from tunix_site.errors import ConflictError
from tunix_site.tests.pages import page_text

pytestmark = pytest.mark.django_db

SCOPE = "golden-v2"


@pytest.fixture
def form(client, administrator):
    """What the admin's form of a promotion is sent with."""
    client.force_login(administrator)
    run = trained()
    return {"scope": SCOPE, "name": "production", "checkpoint": at(run, 5).pk, "why": "it is good"}


def test_a_checkpoint_that_is_gone_or_overtaken_is_refused_in_the_admins_form(client, form):
    add = reverse("admin:runs_alias_add")
    row = Checkpoint.objects.get(pk=form["checkpoint"])
    Checkpoint.objects.filter(pk=row.pk).update(superseded=True)
    assert "was overtaken by a resume" in page_text(client.post(add, form))
    Checkpoint.objects.filter(pk=row.pk).update(superseded=False)
    shutil.rmtree(row.path)
    assert "is no longer on the disk" in page_text(client.post(add, form))
    assert not Alias.objects.exists()


def test_what_is_refused_as_the_admin_saves_is_said(client, form, monkeypatch):
    def refuse(*_, **__):
        raise ConflictError("It went a moment ago.")

    monkeypatch.setattr(promotion_admin, "promote", refuse)
    text = page_text(client.post(reverse("admin:runs_alias_add"), form, follow=True))
    assert "It went a moment ago." in text
    assert not Alias.objects.exists()


@pytest.mark.parametrize("name", ["x:\x00", "\x00:production", "golden-v2:No Name", "\x00"])
def test_letting_go_of_what_can_be_no_name_is_refused_in_words(client, operator, name):
    run = trained()
    client.force_login(operator)
    sent = {"action": "let_go", "name": name, "why": "y"}
    answer = client.post(reverse("runs:aliases", args=[run.pk]), sent, follow=True)
    text = page_text(answer)
    assert "is no name for a checkpoint" in text or "There is no dataset" in text


def test_a_name_that_follows_has_no_button_to_let_it_go(client, operator):
    run = trained()
    grade(run, 10, 90)
    set_rule(scope=SCOPE, name="best", changes={"metric": "interval_low"})
    client.force_login(operator)
    text = page_text(client.get(f"/runs/{run.pk}/checkpoints/"))
    assert "follows by itself" in text
    assert "Let golden-v2:best go" not in text


@pytest.mark.parametrize(
    ("metric", "chosen", "higher"),
    [("loss", "", False), ("loss", "True", True), ("answer_accuracy", "", True)],
)
def test_the_admins_rule_follows_in_the_metrics_own_direction_unless_told(
    client, administrator, metric, chosen, higher
):
    run = trained()
    grade(run, 5, 50, loss=0.5)
    grade(run, 10, 60, loss=0.1)
    client.force_login(administrator)
    sent = {
        "scope": SCOPE, "name": "best", "metric": metric, "higher_is_better": chosen, "split": "test",
        "grader": "", "content_hash": "", "min_n": "0", "min_accuracy": "", "overlap": "any",
    }  # fmt: skip
    add = reverse("admin:runs_aliasrule_add")
    assert '<option value="" selected>as the metric means it</option>' in client.get(add).content.decode()
    assert client.post(add, sent).status_code == 302
    kept = AliasRule.objects.get()
    assert kept.higher_is_better is higher
    alias = Alias.objects.select_related("checkpoint").get()
    assert alias.checkpoint is not None
    assert alias.checkpoint.step == (5 if chosen == "True" else 10)
    change = reverse("admin:runs_aliasrule_change", args=[kept.pk])
    shown = client.get(change).content.decode()
    assert f'<option value="{chosen}" selected>' in shown
    assert client.post(change, {**sent, "metric": "loss"}).status_code == 302
    assert AliasRule.objects.get().higher_is_better is (chosen == "True")


def test_the_documentation_names_every_word_that_is_taken(settings):
    text = (settings.BASE_DIR / "docs" / "promotion.md").read_text()
    sentence = text.partition(" are taken.")[0].rpartition("; ")[2]
    assert {word for word in TAKEN if f"`{word}`" in sentence} == TAKEN
