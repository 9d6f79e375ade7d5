"""Every page in chromium, with data, empty, failed, huge: each fits, can be used by all, complains not."""

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from runs.base_models.tests.preview_support import base_model
from runs.pages.tests.support import finished_run, forked_run, running_run, written_run
from runs.playground.tests.support import put
from runs.tests.support import make_run, release_device
from tunix_site.tests.browser import WIDTHS
from tunix_site.tests.e2e import scenes
from tunix_site.tests.e2e.audit import Audit
from tunix_site.tests.e2e.scenes_boards import board_pages
from tunix_site.tests.e2e.scenes_models import failed_model_pages, huge_model_pages, model_pages
from tunix_site.tests.pages import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Addresses that answer no page to a GET: forms that act, files, and the API.
NO_PAGES = {
    "logout",
    "runs:export",
    "runs:views",
    "runs:chosen",
    "runs:compare-csv",
    "runs:act-many",
    "runs:act",
    "runs:write-notes",
    "runs:log",
    "runs:checkpoint",
    "runs:reproduce",
    "runs:stop-generation",
    "runs:aliases",
    "models:finetune",
    "datasets:cancel_import",
    "datasets:confirm_import",
    "datasets:make_report",
    "datasets:cancel_report",
    "workers:drain",
    "recipes:train",
    "models:import",
    "models:delete",
}
# Two pages are the same whatever the site holds.
SAME = {"admin": "/admin/", "api-docs": "/api/docs"}
LISTS = {path.strip("/").replace("/", "-") or "home": path for path in PAGES if path not in SAME.values()}
ADMIN = {
    "admin-runs": "/admin/runs/run/",
    "admin-recipe": "/admin/runs/run/recipe/",
    "admin-datasets": "/admin/datasets_app/dataset/",
    "admin-models": "/admin/runs/basemodel/",
    "admin-tokens": "/admin/tunix_site/apitoken/",
}


@pytest.fixture(params=[("laptop",), pytest.param(tuple(WIDTHS), marks=pytest.mark.long)], ids=["one", "all"])
def audit(request, site, administrator):
    """Give an `Audit` for a state; at the end of the test it has found nothing."""
    page = site.open("/runs/", user=administrator)
    made = []

    def begin(state):
        made.append(Audit(site, page, state, request.param))
        return made[-1]

    yield begin
    findings = [finding for one in made for finding in one.findings]
    assert findings == [], "\n" + "\n".join(findings)


def page_names(patterns, space=""):
    """The names of all addresses but those of the admin and the API."""
    for one in patterns:
        if isinstance(one, URLResolver) and one.namespace not in {"admin", "api-1.0.0", "api"}:
            yield from page_names(one.url_patterns, f"{one.namespace}:" if one.namespace else space)
        elif isinstance(one, URLPattern) and one.name:
            yield f"{space}{one.name}"


def test_every_page_with_data(site, audit, tmp_path):
    look = audit("data")
    old, new = scenes.two_contents()
    finished = finished_run(tmp_path, name="chain, 2 layers, no dropout")
    release_device()
    forked = forked_run(finished)
    release_device()
    scenes.listed_runs()
    first, second, *_ = scenes.benchmarks(3)
    refused = scenes.refused_import(tmp_path)
    written = put(finished, text="a", state="done")
    at_work = scenes.site_at_work()
    release_device()
    look.look(LISTS | ADMIN | SAME)
    look.look(scenes.run_pages(finished))
    look.look(
        {
            "run-logs-search": f"/runs/{finished.pk}/logs/?q=step+39",
            "run-logs-line": f"/runs/{finished.pk}/logs/?line=200",
            "run-notes-edit": f"/runs/{finished.pk}/notes/?edit=1",
            "run-fork-form": f"/runs/{finished.pk}/fork/?step=40",
            "run-generation": f"/runs/{written_run().pk}/",
            **scenes.evaluation_pages(finished),
            "run-playground-text": f"/runs/{finished.pk}/playground/{written.pk}/",
            "run-at-work": f"/runs/{at_work.pk}/",
            "run-live": f"/runs/{running_run().pk}/",
            "fork": f"/runs/{forked.pk}/",
            "fork-charts": f"/runs/{forked.pk}/charts/",
            "compare-two": f"/runs/compare/?ids={finished.pk},{forked.pk}&prompts=all",
            "list-grouped": "/runs/?q=&group=status&sort=-loss&columns=status,size,owner,lr,tags",
            "benchmark": f"/benchmarks/{second}/",
            "benchmark-compare": f"/benchmarks/compare/?ids={first},{second}",
            "import": f"/datasets/imports/{refused.pk}/",
        }
    )
    look.look(scenes.dataset_pages(old, new))
    base_model()
    look.look({"model-preview": "/models/tiny-chat/preview/?reasoning=think&system_prompt=Be+kind."})
    look.look(board_pages())
    look.look(model_pages(tmp_path))
    look.page.context.clear_cookies()
    look.look({"login": "/accounts/login/"})
    missing = set(page_names(get_resolver().url_patterns)) - NO_PAGES - look.visited
    assert not missing, f"no trial opens {sorted(missing)}"


def test_every_page_of_an_empty_site(audit):
    look = audit("empty")
    look.look(LISTS | ADMIN)
    draft = make_run()
    look.look(scenes.run_pages(draft))
    base_model()
    look.look({"model-preview": "/models/tiny-chat/preview/"})
    look.look(
        {
            "list-no-match": "/runs/?q=name:nowhere",
            "list-wrong": "/runs/?q=stauts:x",
            "compare-one": f"/runs/compare/?ids={draft.pk}",
            "pairs-none": "/evaluations/compare/",
        }
    )


def test_every_page_of_what_failed(site, audit, tmp_path):
    look = audit("failed")
    failed = scenes.failed_training()
    faulty = scenes.faulty_content()
    bench = scenes.failed_benchmark()
    refused = scenes.refused_import(tmp_path)
    look.look({"home": "/", "runs": "/runs/", "queue": "/runs/queue/", "benchmarks": "/benchmarks/"})
    look.look(scenes.run_pages(failed))
    look.look({"bench-run": f"/runs/{bench.pk}/", "compare": f"/runs/compare/?ids={failed.pk},{bench.pk}"})
    look.look(scenes.dataset_pages(faulty, faulty))
    look.look({"import": f"/datasets/imports/{refused.pk}/"})
    look.look({"evaluate-form": f"/runs/{failed.pk}/evaluate/"})
    look.look(failed_model_pages(tmp_path))
    base_model("refused", chat_template__jinja="{% for %}")
    look.look({"model-preview": "/models/refused/preview/"})
    look.page.goto(f"/runs/{failed.pk}/")
    look.page.get_by_role("button", name="Delete…").click()
    look.page.get_by_role("button", name="Delete").wait_for()
    look.examine("confirm")
    for name, path, status in (
        ("404", "/no-such-page/", 404),
        ("run-404", "/runs/4711/", 404),
        ("pairs-404", "/evaluations/compare/?ids=1,2", 404),
    ):
        look.page.goto(path)
        look.examine(name)
        look.expect(status)


def test_every_page_of_a_huge_site(audit, tmp_path):
    look = audit("huge")
    huge = scenes.huge_training(tmp_path)
    release_device()
    runs = scenes.huge_list()
    faulty = scenes.faulty_content(60)
    marks = scenes.benchmarks(25, scenes.WILD)
    scenes.site_at_work(scenes.WILD)
    chosen = ",".join(str(run.pk) for run in [huge, *runs])
    look.look(LISTS)
    look.look({"admin-runs": "/admin/runs/run/"})
    look.look(scenes.run_pages(huge))
    look.look(
        {
            "run-fork-form": f"/runs/{huge.pk}/fork/?step=40",
            "compare-many": f"/runs/compare/?ids={chosen}&full=summary,dataset,config",
            **scenes.evaluation_pages(huge),
            "compare-graded": f"/runs/compare/?ids={runs[0].pk},{runs[1].pk}&prompts=all",
            "benchmark": f"/benchmarks/{marks[-1]}/",
            "benchmark-compare": f"/benchmarks/compare/?ids={marks[0]},{marks[-1]}",
        }
    )
    look.look(scenes.dataset_pages(faulty, faulty))
    base_model(shape="tinyllama")
    look.look({"model-preview": "/models/tiny-chat/preview/?dataset=faulty-v1&trace=3"})
    look.look(board_pages(scenes.WILD[:200], runs=60))
    look.look(huge_model_pages(tmp_path, scenes.WILD))


def test_the_pages_of_a_person_without_a_role(site, make_user):
    look = Audit(site, site.open("/accounts/login/", user=make_user("newcomer")), "no-role")
    look.page.goto("/")
    look.examine("home")
    look.expect(403)
    assert look.findings == []


def test_all_columns_of_the_list_and_all_tabs_are_seen_on_a_laptop(site, viewer, tmp_path):
    run = finished_run(tmp_path, name="chain, 2 layers, no dropout")
    page = site.open("/runs/", user=viewer)
    inside = "(one) => one.scrollWidth <= one.clientWidth + 1"
    assert page.locator("[data-run-list]").locator("..").evaluate(inside)
    page.goto(f"/runs/{run.pk}/")
    assert page.locator("[data-run-tabs]").evaluate(inside)


def test_a_chart_says_no_points_only_when_it_knows(site, viewer, tmp_path):
    run = finished_run(tmp_path)
    page = site.open("/runs/", user=viewer)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/metrics?*", hold)
    page.goto(f"/runs/{run.pk}/charts/")
    note = page.locator(".chart-note").first
    note.get_by_text("The points are being read …").wait_for()
    page.wait_for_timeout(100)
    for route in held:
        route.fulfill(status=503, json={"detail": "The database is busy."})
    page.locator(
        ".chart-note", has_text="The points could not be read: The database is busy."
    ).first.wait_for()
    site.complaints[:] = [one for one in site.complaints if "503" not in one]
