"""The tab and the address of one question, for all roles, with hostile texts, without scripts."""

import pytest
from django.test import Client
from django.utils.html import escape

from runs.deleting import delete_run
from runs.evaluations.tests.support import named
from runs.models import Generation, Run
from runs.playground.tests.support import asked, put, session_run, trained
from runs.states import Kind
from runs.tests.control_support import hold, make_device, make_worker
from runs.tests.support import make_dataset, make_run
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path):
    return trained(tmp_path, 10, 20, dataset=make_dataset(60))


@pytest.fixture
def page(client, operator):
    client.force_login(operator)

    def read(path, code=200, **query):
        return page_text(client.get(path, query_params=query), code)

    return read


def post(client, path, **fields):
    return client.post(path, {"prompt": "7+3", "checkpoint": "latest", **fields})


def test_a_form_leads_to_an_address_that_shows_what_is_written(client, page, run):
    answer = post(client, f"/runs/{run.pk}/playground/", beside_checkpoint="10", seed="5")
    row = Generation.objects.earliest("pk")
    assert answer.status_code == 302
    assert answer["Location"] == f"/runs/{run.pk}/playground/{row.pk}/"
    text = page(answer["Location"])
    assert "Waiting" in text
    assert "Waits: no worker is running" in text
    Generation.objects.update(state="done", text="7+3=0\n#0", finished=True, expected_answer="0")
    text = page(answer["Location"])
    assert "What it wrote" in text
    assert "The steps are the same" in text
    assert text.count('class="ok"') >= 2
    assert 'value="5"' in text
    second = Generation.objects.latest("pk")
    assert client.get(f"/runs/{run.pk}/playground/{second.pk}/")["Location"] == answer["Location"]


def test_steps_that_differ_are_marked(page, run):
    first = put(run, text="a\nb\n#1", finished=True, state="done")
    put(run, text="a\nc\n#1", finished=True, state="done", beside=first, step=20)
    text = page(f"/runs/{run.pk}/playground/{first.pk}/")
    assert "1 step differs" in text
    assert text.count('class="differs"') == 2


def test_a_checkpoint_that_is_gone_stays_chosen_until_another_is(client, page, run):
    row = put(run, step=5, state="done", text="#1")
    text = page(f"/runs/{run.pk}/playground/{row.pk}/")
    assert '<option value="5" selected>step 5 (no longer on disk)</option>' in text
    assert "cannot be asked any more" in text
    refused = page_text(post(client, f"/runs/{run.pk}/playground/", checkpoint="5"), 422)
    assert "no checkpoint of step 5 on disk" in refused
    assert '<option value="5" selected>' in refused
    assert "(no longer on disk)" not in page(f"/runs/{run.pk}/playground/")


def test_names_on_checkpoints_are_offered(client, page, run):
    named(run.checkpoints.get(step=10), "production")
    text = page(f"/runs/{run.pk}/playground/")
    assert '<option value="golden-v2:production">golden-v2:production (step 10)</option>' in text
    post(client, f"/runs/{run.pk}/playground/", checkpoint="golden-v2:production")
    assert Generation.objects.get().step == 10


def test_what_one_run_wrote_stays_when_the_other_is_deleted(page, run, tmp_path):
    other = trained(tmp_path, 10)
    first = put(other, text="a\n#1", finished=True, state="done")
    second = put(run, text="b\n#1", finished=True, state="done", beside=first)
    delete_run(other)
    second.refresh_from_db()
    assert (second.run_id, second.beside_id) == (run.pk, None)
    text = page(f"/runs/{run.pk}/playground/{second.pk}/")
    assert "What it wrote" in text
    assert text.count('class="pair-column"') == 1


def test_held_out_prompts_come_with_their_answers(page, run):
    text = page(f"/runs/{run.pk}/playground/")
    hashes = set(run.dataset.members.filter(split="test").values_list("trace__content_hash", flat=True))
    shown = [one for one in hashes if f"?trace={one}" in text]
    assert shown
    filled = page(f"/runs/{run.pk}/playground/", trace=shown[0])
    assert f'name="trace_hash" value="{shown[0]}"' in filled
    again = page(f"/runs/{run.pk}/playground/", **{"from": "999999999"})
    assert "?trace=" in again
    for odd in ("²", "-1", "x", "9" * 40):
        page(f"/runs/{run.pk}/playground/", **{"from": odd}, trace=odd)


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"prompt": "  "}, 422, "nothing to answer"),
        ({"prompt": "a\x00b"}, 422, "NUL"),
        ({"prompt": "<script>alert(1)</script>" * 5000}, 422, "at most 100000"),
        ({"prompt": "x" * 90_000}, 422, "sequences of"),
        ({"checkpoint": "<b>"}, 422, "neither latest"),
        ({"beside_run": "7'"}, 422, "is not the number of a run"),
        ({"beside_run": "4711"}, 422, "There is no run 4711"),
        ({"temperature": "hot"}, 422, "temperature"),
        ({"max_new_tokens": "1" * 20}, 422, "max_new_tokens"),
    ],
)
def test_a_refused_form_says_why_and_keeps_what_was_written(client, page, run, fields, code, says):
    answer = post(client, f"/runs/{run.pk}/playground/", expected_answer=WILD, **fields)
    text = page_text(answer, code)
    assert escape(says) in text
    assert escape(WILD) in text
    assert not Generation.objects.exists()


def test_who_asks_for_too_much_keeps_the_form(client, page, run, settings):
    settings.TUNIX_PLAYGROUND_PER_MINUTE = 1
    post(client, f"/runs/{run.pk}/playground/")
    text = page_text(post(client, f"/runs/{run.pk}/playground/"), 429)
    assert "Try again in" in text


def test_hostile_texts_stay_text(page, run, make_user):
    owner = make_user("<i>who</i>", "operator")
    wild = f"{WILD}\n{WILD}\x01\x1b[31m"
    row = put(
        run,
        prompt=wild,
        text=f"{wild}\n#{wild}",
        reason=wild,
        expected_answer=wild,
        owner=owner,
        state="failed",
    )
    for path in (f"/runs/{run.pk}/playground/", f"/runs/{run.pk}/playground/{row.pk}/"):
        text = page(path)
        assert "<script>alert" not in text
        assert "<i>who" not in text


def test_a_form_takes_line_ends_as_models_know_them(client, page, run):
    post(client, f"/runs/{run.pk}/playground/", prompt="a\r\nb")
    assert Generation.objects.get().prompt == "a\nb"


def test_a_viewer_sees_and_cannot_ask_or_stop(client, viewer, run):
    row = asked(run)
    client.force_login(viewer)
    text = page_text(client.get(f"/runs/{run.pk}/playground/{row.pk}/"))
    assert "Your role is to look" in text
    assert "Stop writing" not in text
    assert "<textarea" not in text
    assert post(client, f"/runs/{run.pk}/playground/").status_code == 403
    assert client.post(f"/runs/{run.pk}/playground/{row.pk}/stop/").status_code == 403
    assert Generation.objects.get().state == "waiting"


def test_strangers_people_without_a_role_and_forged_forms_are_turned_away(client, run, make_user, operator):
    row = asked(run)
    for path in (f"/runs/{run.pk}/playground/", f"/runs/{run.pk}/playground/{row.pk}/"):
        assert "/accounts/login/" in client.get(path)["Location"]
    client.force_login(make_user("nobody"))
    assert client.get(f"/runs/{run.pk}/playground/").status_code == 403
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    assert post(strict, f"/runs/{run.pk}/playground/").status_code == 403
    assert strict.post(f"/runs/{run.pk}/playground/{row.pk}/stop/").status_code == 403
    assert Generation.objects.count() == 1


def test_the_button_stops_both_columns(client, page, run, operator):
    row = asked(run, actor=operator, beside="10")
    answer = client.post(f"/runs/{run.pk}/playground/{row.pk}/stop/")
    assert answer["Location"] == f"/runs/{run.pk}/playground/{row.pk}/"
    assert set(Generation.objects.values_list("state", flat=True)) == {"stopped"}
    assert client.get(f"/runs/{run.pk}/playground/{row.pk}/stop/").status_code == 405


def test_a_number_of_another_run_is_not_found(client, page, run, tmp_path):
    row = put(trained(tmp_path))
    for path in (f"/runs/{run.pk}/playground/{row.pk}/", f"/runs/{run.pk}/playground/{10**30}/"):
        assert client.get(path).status_code == 404
        assert client.post(f"{path}stop/").status_code == 404


def test_the_script_hears_nothing_until_something_changes(client, page, run):
    row = asked(run)
    path = f"/runs/{run.pk}/playground/{row.pk}/"
    part = page(path, seen="")
    assert "<html" not in part
    mark = part.split('data-mark="')[1].split('"')[0]
    assert client.get(path, {"seen": mark}).status_code == 204
    Generation.objects.update(state="writing", text="7")
    assert 'data-open="true"' in page(path, seen=mark)
    Generation.objects.update(state="done")
    assert 'data-open="false"' in page(path, seen=mark)


def test_a_session_shows_what_it_wrote(page, run):
    row = asked(run, "12+34")
    made = session_run(row)
    text = page(f"/runs/{made.pk}/playground/")
    assert "What this session wrote" in text
    assert "12+34" in text
    assert "<textarea" not in text
    assert page(f"/runs/{made.pk}/")


def test_a_run_without_checkpoints_says_so_and_other_kinds_have_no_such_tab(client, page):
    draft = make_run()
    assert "No checkpoint on this machine" in page(f"/runs/{draft.pk}/playground/")
    answer = post(client, f"/runs/{draft.pk}/playground/")
    assert "no checkpoint on disk" in page_text(answer, 422)
    bench = make_run(kind=Kind.BENCH)
    assert "/playground/" not in page(f"/runs/{bench.pk}/")


def test_it_says_which_training_has_the_only_device_and_how_long_it_needs(client, page, run):
    make_worker()
    hold(make_device(), step=10, steps=130, seconds=2.0)
    row = asked(run)
    text = page(f"/runs/{run.pk}/playground/{row.pk}/")
    holder = Run.objects.get(status="running")
    assert f"Waits: cpu:0 is busy with run {holder.pk}, about 4 min left" in text
    client.post(f"/runs/{run.pk}/playground/{row.pk}/stop/")
    assert session_run(row).status == "stopped"


def test_the_tab_costs_the_same_however_much_was_asked(client, page, run, django_assert_max_num_queries):
    for number in range(40):
        put(run, text=f"{number}\n#1", finished=True, state="done")
    with django_assert_max_num_queries(20):
        page(f"/runs/{run.pk}/playground/")
    with django_assert_max_num_queries(22):
        page(f"/runs/{run.pk}/playground/{Generation.objects.latest('pk').pk}/")
