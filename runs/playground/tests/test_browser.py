"""The playground in chromium: what is written appears, a prompt at a click, every width and theme, axe."""

import pytest

from runs.models import Generation
from runs.playground.tests.support import asked, put, trained
from runs.tests.support import make_dataset
from tunix_site.tests.e2e.audit import Audit
from tunix_site.tests.pages import WILD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "WithoutAnySpace" * 20


@pytest.fixture
def run(tmp_path):
    return trained(tmp_path, 10, 20, dataset=make_dataset(60), name="chain, 2 layers")


def test_a_text_appears_as_it_is_written(site, operator, run):
    page = site.open(f"/runs/{run.pk}/playground/", user=operator)
    prompt = page.locator(".held-out a[data-prompt]").first
    wanted, answer = prompt.get_attribute("data-prompt"), prompt.get_attribute("data-answer")
    prompt.click()
    assert page.locator("#prompt").input_value() == wanted
    assert page.locator("#expected").input_value() == answer
    page.locator("#prompt").press("Control+Enter")
    page.get_by_role("heading", name="Waiting asked").wait_for()
    row = Generation.objects.get()
    assert row.prompt == wanted
    page.get_by_text("Waits: no worker is running").wait_for()
    Generation.objects.update(state="writing", text="first step\nand the sec", tokens=20)
    page.locator("table.steps td.mono", has_text="first step").wait_for()
    page.get_by_role("heading", name="Being written asked").wait_for()
    page.locator("tr.begun", has_text="and the sec").wait_for()
    text = page.get_by_text("Text as it stands")
    text.click()
    Generation.objects.update(text="first step\nand the second\n#", tokens=30)
    page.locator("table.steps td.mono", has_text="and the second").wait_for()
    # What a person has opened stays open.
    assert page.locator(".pair-column pre").is_visible()
    Generation.objects.update(state="done", text=f"first step\nand the second\n#{answer}", finished=True)
    page.get_by_text("What it wrote", exact=False).first.wait_for()
    page.locator(".pair-answer .ok", has_text=answer).wait_for()
    assert page.get_by_role("button", name="Stop writing").count() == 0
    # The list has it as it now stands, and the form what it held.
    page.locator("table.asked .badge-completed").wait_for()
    assert page.locator("#prompt").input_value() == wanted


def test_writing_is_stopped_by_its_button(site, operator, run):
    row = asked(run, actor=operator, beside="10")
    page = site.open(f"/runs/{run.pk}/playground/{row.pk}/", user=operator)
    page.get_by_role("button", name="Stop writing").click()
    page.get_by_text("Stopped by a person").first.wait_for()
    assert set(Generation.objects.values_list("state", flat=True)) == {"stopped"}


def test_without_scripts_a_form_leads_to_a_page_that_shows_it_when_loaded_again(site, operator, run):
    context = site.browser.new_context(base_url=site.url, java_script_enabled=False)
    site.contexts.append(context)
    from django.conf import settings

    from tunix_site.tests.browser import session_of

    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session_of(operator), "url": site.url}]
    )
    page = context.new_page()
    page.goto(f"/runs/{run.pk}/playground/")
    page.locator(".held-out a").first.click()
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_role("heading", name="Waiting asked").wait_for()
    Generation.objects.update(state="done", text="a step\n#5", finished=True)
    page.get_by_role("link", name="Look again").click()
    page.get_by_text("a step").first.wait_for()


def test_every_look_of_the_tab(site, operator, viewer, run, tmp_path):
    solo = put(
        run,
        owner=operator,
        prompt="7+3*2",
        text="7+3=0\n0*2=0\n#0",
        finished=True,
        state="done",
        tokens=14,
        expected_steps=["7+3=0", "0*2=0"],
        expected_answer="0",
    )
    pair = put(run, owner=operator, text="7+3=0\n1*2=2\n#2", finished=True, state="done", expected_answer="0")
    put(run, step=20, beside=pair, text="7+3=0\n0*2=0\n#0", finished=True, state="done", expected_answer="0")
    wild = put(
        run,
        owner=operator,
        prompt=f"{WILD} {LONG}" * 20,
        text=f"{WILD}\n{LONG}\n#{LONG}",
        state="failed",
        reason=f"{WILD} {LONG}",
        expected_answer=LONG,
    )
    put(
        run,
        step=20,
        beside=wild,
        text=f"{LONG}\n" * 60,
        state="stopped",
        reason="its time was up after 120 s",
    )
    waits = asked(run, actor=operator, beside="10")
    writing = asked(run, actor=operator)
    Generation.objects.filter(pk=writing.pk).update(state="writing", text="7+3=0\n0*2", tokens=9)
    look = Audit(site, site.open("/runs/", user=operator), "playground", ("laptop", "phone", "wide"))
    base = f"/runs/{run.pk}/playground/"
    look.look(
        {
            "form": base,
            "solo": f"{base}{solo.pk}/",
            "pair": f"{base}{pair.pk}/",
            "wild": f"{base}{wild.pk}/",
            "waits": f"{base}{waits.pk}/",
            "writing": f"{base}{writing.pk}/",
            "session": f"/runs/{waits.session_id}/playground/",
        }
    )
    look.page.goto(base)
    look.page.get_by_text("How it is drawn").click()
    look.page.locator("#set-temperature").fill("-1")
    look.page.locator("#prompt").fill("7+3")
    look.page.get_by_role("button", name="Write", exact=True).click()
    look.examine("refused")
    look.expect(422)
    guest = Audit(site, site.open("/runs/", user=viewer), "playground-viewer")
    guest.look({"form": base, "pair": f"{base}{pair.pk}/"})
    assert look.findings + guest.findings == []
