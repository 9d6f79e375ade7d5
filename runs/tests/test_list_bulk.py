"""Many runs at once: chosen ones or all that fit, tags and the archive, and what refuses."""

import re

import pytest

from runs import services
from runs.listing.organising import MOST_TAGS, archive, change_tags, tags_of, unarchive
from runs.models import Run, Tag
from runs.states import Status
from runs.tests.support import fresh, make_run, run_in
from runs.verbs import VERBS, perform
from tunix_site.errors import ConflictError, InvalidInputError
from tunix_site.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def act(client, administrator):
    client.force_login(administrator)

    def send(action: str, code: int = 200, /, **form: object) -> str:
        answer = client.post("/runs/act/", {"action": action, **form}, follow=True)
        assert answer.status_code == code, answer.content[:300]
        return str(answer.content, "utf-8")

    return send


def test_chosen_runs_are_tagged_and_untagged(act):
    first, second = make_run(), make_run()
    text = act("tag", run=[first.pk, second.pk], tags="baseline, lr-sweep")
    assert f"Run {first.pk} has the tags baseline, lr-sweep." in text
    assert tags_of(fresh(first)) == tags_of(fresh(second)) == ["baseline", "lr-sweep"]
    act("untag", run=[first.pk], tags="BASELINE")
    assert tags_of(fresh(first)) == ["lr-sweep"]
    act("untag", run=[first.pk, second.pk], tags="lr-sweep baseline")
    assert not Tag.objects.exists()


@pytest.mark.parametrize("tags", ["", " , ", "no<b>", "x" * 41, "none", "two\nlines!"])
def test_what_is_no_tag_is_refused(act, tags):
    run = make_run()
    text = act("tag", run=[run.pk], tags=tags)
    assert "notice-error" in text
    assert "tag" in text
    assert tags_of(run) == []


def test_tags_are_one_whatever_their_case_and_leave_an_audit_line(operator):
    run = change_tags(make_run(), add=["Baseline", "baseline "], actor=operator)
    change_tags(run, add=["BASELINE"], actor=operator)
    other = change_tags(make_run(), add=["bAsElInE"])
    assert tags_of(fresh(run)) == tags_of(fresh(other)) == ["Baseline"]
    line = AuditEvent.objects.get(action="run.tagged", target_id=str(run.pk))
    assert (line.actor, line.detail) == (operator, {"tags": ["Baseline"]})
    with pytest.raises(InvalidInputError, match=f"more than {MOST_TAGS} tags"):
        change_tags(run, add=[f"t{number}" for number in range(MOST_TAGS)])


def test_all_that_fit_are_archived_and_nothing_else(act):
    for number in range(60):
        make_run(name=f"many {number}")
    other = make_run(name="other")
    text = act("archive", all="1", q="many", query="q=many&sort=name")
    assert "Archive: done to 60 runs." in text
    assert Run.objects.filter(archived_at=None).get() == other
    assert AuditEvent.objects.filter(action="run.archived").count() == 60
    # The list is again the one from which the form was sent.
    assert 'value="many"' in text
    text = act("unarchive", all="1", q="many archived:yes")
    assert not Run.objects.exclude(archived_at=None).exists()


def test_all_that_fit_are_as_they_are_now_and_named_before_what_is_lost(act):
    for _ in range(3):
        make_run(name="doomed")
    kept = make_run(name="kept")
    text = act("delete", all="1", q="doomed", query="q=doomed")
    assert "3 runs?" in text
    assert Run.objects.count() == 4
    assert 'href="/runs/?q=doomed"' in text
    numbers = re.findall(r'name="run" value="(\d+)"', text)
    act("delete", run=numbers, confirmed="1", query="q=doomed")
    assert Run.objects.get() == kept


def test_too_many_at_once_and_a_search_that_means_nothing_are_refused(act, monkeypatch):
    for _ in range(3):
        make_run()
    act("stop", 400, run=list(range(1, 300)))
    assert "Did you mean status" in act("stop", all="1", q="stauts:x")
    few = {name: getattr(VERBS["archive"], name) for name in VERBS["archive"].__slots__}
    monkeypatch.setitem(VERBS, "archive", type(VERBS["archive"])(**{**few, "most": 2}))
    assert "3 runs fit; archive takes 2 at most" in act("archive", all="1", q="")
    assert not Run.objects.exclude(archived_at=None).exists()


def test_of_many_runs_only_some_refusals_are_told(act):
    drafts = [make_run().pk for _ in range(25)]
    text = act("stop", run=drafts)
    assert text.count("there is nothing to stop") == 10
    assert "15 more were refused." in text


def test_what_is_at_work_is_not_archived_and_what_starts_again_is_seen():
    running = run_in(Status.RUNNING)
    with pytest.raises(ConflictError, match="Stop it first"):
        archive(running)
    assert VERBS["archive"].fits(make_run())
    assert not VERBS["archive"].fits(running)
    run = archive(make_run())
    assert archive(run).archived_at == run.archived_at
    services.enqueue_run(run, deliver=False)
    assert fresh(run).archived_at is None
    assert unarchive(make_run()).archived_at is None


def test_chosen_runs_are_compared_without_a_script(client, viewer):
    client.force_login(viewer)
    answer = client.post("/runs/chosen/", {"run": ["3", "1", "x", "3"]})
    assert answer.url == "/runs/compare/?ids=3,1"


def test_the_way_back_leads_nowhere_else(act, client):
    run = make_run()
    for query in ("//evil.example", "q=a\r\nX: y", "next=https://evil.example", "?" + "x" * 5000):
        answer = client.post("/runs/act/", {"action": "archive", "run": run.pk, "query": query})
        assert answer.status_code == 302
        assert answer.url.startswith("/runs/?")
        assert "evil" not in answer.url or "q=" in answer.url


def test_the_command_tags_and_archives(capsys):
    from django.core.management import call_command

    run = make_run()
    call_command("control", "tag", str(run.pk), "--tag", "a", "--tag", "b")
    call_command("control", "archive", str(run.pk))
    assert tags_of(fresh(run)) == ["a", "b"]
    assert fresh(run).archived_at is not None
    call_command("control", "untag", str(run.pk), "--tag", "a")
    assert tags_of(fresh(run)) == ["b"]


def test_an_admin_tags_by_the_admin_site(client, administrator):
    client.force_login(administrator)
    run = make_run()
    form = {"action": "tag", "_selected_action": [run.pk]}
    text = str(client.post("/admin/runs/run/", form, follow=True).content, "utf-8")
    assert 'name="tags"' in text
    client.post("/admin/runs/run/", {**form, "tags": "kept", "confirmed": "1"}, follow=True)
    assert tags_of(fresh(run)) == ["kept"]


def test_a_verb_tells_what_it_did():
    run = make_run()
    assert perform(VERBS["tag"], run, tags=["x"]).text == f"Run {run.pk} has the tags x."
    assert "archived" in perform(VERBS["archive"], run).text
