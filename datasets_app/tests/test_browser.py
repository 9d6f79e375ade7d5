"""The pages of datasets in chromium: nothing complains, everything fits, charts are drawn, uploads work."""

import json

import pytest

from datasets_app.build_request import BuildRequest
from datasets_app.builds import enqueue_build
from datasets_app.imports.request import make_request
from datasets_app.imports.run import carry_out, open_import
from datasets_app.models import Dataset, Import
from datasets_app.quality.reports import request_report
from datasets_app.services import seed_dataset
from datasets_app.tests.support_quality import member, published
from tunix_site.tests.browser import fits, shoot

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "WithoutAnySpace" * 18


@pytest.fixture
def golden():
    """Two contents of golden-v2, the newer one with a report; give their addresses, the older first."""
    addresses = [seed_dataset(key="golden-v2", count=count).dataset.address for count in (30, 60)]
    request_report(dataset=Dataset.objects.get(trace_count=60))
    return addresses


@pytest.fixture
def refused(tmp_path):
    """An import of which lines were refused."""
    path = tmp_path / f"{LONG[:60]}.jsonl"
    path.write_text('{"question": "q", "answer": "s\\n#### 1"}\n{"bad": 1}\nnonsense\n')
    row = open_import(request=make_request(key="mine", keep_going=True), name=path.name, size=80)
    carry_out(row=row, path=path)
    return row


@pytest.fixture
def build():
    return enqueue_build(request=BuildRequest(dataset_name="chain", count=20_000))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "laptop"])
def test_every_page_of_datasets_fits_its_window(site, administrator, golden, refused, build, width, theme):
    faulty = published("faulty-v1", [member(f"What is {LONG}?", [f"2 + 2 = 5 {LONG}", "<<1+1=3>>3"], LONG)])
    request_report(dataset=faulty)
    old, new = golden
    paths = {
        "datasets": "/datasets/",
        "card": f"/datasets/{new}/",
        "traces": f"/datasets/{new}/traces/",
        "trace": f"/datasets/{new}/traces/4/",
        "trace-faulty": f"/datasets/{faulty.address}/traces/0/",
        "quality": f"/datasets/{new}/quality/",
        "quality-faulty": f"/datasets/{faulty.address}/quality/",
        "quality-none": f"/datasets/{old}/quality/",
        "compare": f"/datasets/compare/?a={old}&b={new}",
        "import": f"/datasets/imports/{refused.pk}/",
        "admin-datasets": "/admin/datasets_app/dataset/",
        "admin-imports": "/admin/datasets_app/import/",
        "admin-upload": "/admin/datasets_app/import/upload/",
        "admin-seed": "/admin/datasets_app/dataset/seed/",
        "admin-build": "/admin/datasets_app/dataset/build/",
        "admin-build-task": f"/admin/datasets_app/buildtask/{build.pk}/change/",
    }
    page = site.open("/datasets/", user=administrator, theme=theme, width=width)
    for name, path in paths.items():
        page.goto(path)
        assert fits(page), path
        shoot(page, f"{name}-{theme}-{width}")


def test_traces_are_searched_filtered_and_paged(site, viewer, golden):
    page = site.open(f"/datasets/{golden[1]}/", user=viewer)
    page.get_by_role("navigation", name="Dataset").get_by_role("link", name="Traces").click()
    page.wait_for_url("**/traces/")
    first = page.locator("article.trace").first.get_attribute("id")
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**after=**")
    assert page.locator("article.trace").first.get_attribute("id") != first
    page.get_by_role("link", name="Before").click()
    page.wait_for_url("**before=**")
    assert page.locator("article.trace").first.get_attribute("id") == first
    page.get_by_label("Family").select_option("sorting")
    page.get_by_label("Words").fill("SORT")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**family=sorting**")
    assert page.locator("article.trace").count() == 12
    assert all("sort " in text for text in page.locator(".trace-prompt").all_inner_texts())
    page.get_by_label("Words").fill("sort nowhere")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_text("No trace fits.").wait_for()
    page.get_by_role("main").get_by_role("link", name="Show all").first.click()
    page.locator("article.trace a").first.click()
    page.wait_for_url("**/traces/0/")
    assert "8 valid, 0 invalid" in page.inner_text("main")
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**/traces/1/")


def test_the_charts_of_a_report_are_drawn_and_findings_lead_to_traces(site, viewer):
    faulty = published("faulty-v1", [member("What is 2 + 2?", ["2 + 2 = 5"], "5")])
    request_report(dataset=faulty)
    page = site.open(f"/datasets/{faulty.address}/quality/", user=viewer)
    page.locator(".chart-note").nth(3).wait_for(state="attached")
    drawn = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value > 0);
    }"""
    assert [canvas.evaluate(drawn) for canvas in page.locator("canvas[data-part]").all()] == [True] * 4
    page.get_by_text("Plain equations that are wrong").click()
    page.locator(".finding-list").get_by_role("link", name="#0").click()
    page.wait_for_url("**/traces/0/")
    assert "2 + 2 = 5, but 2 + 2 is 4" in page.inner_text("main")


def test_two_contents_are_compared(site, viewer, golden):
    page = site.open(f"/datasets/{golden[1]}/", user=viewer)
    page.get_by_role("link", name="Changes").click()
    page.get_by_role("heading", name="Added").wait_for()
    labels, values = (page.locator(f".stat-{part}").all_inner_texts() for part in ("label", "value"))
    stats = dict(zip(labels, values, strict=True))
    assert (stats["Unchanged"], stats["Added"], stats["Removed"]) == ("30", "30", "0")


def test_a_file_is_uploaded_in_the_admin_looked_at_and_imported(site, administrator):
    lines = [{"question": f"q{n}", "answer": f"s\n#### {n}"} for n in range(5)] + [{"bad": 1}]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = {"name": "small.jsonl", "mimeType": "application/jsonl", "buffer": body}
    page = site.open("/admin/datasets_app/import/", user=administrator)
    page.get_by_role("link", name="Import a file").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Dataset").fill("mine")
    page.get_by_role("button", name="Import a file").click()
    page.get_by_text("so nothing was changed").wait_for()
    assert not Dataset.objects.exists()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Look at it first").click()
    page.get_by_role("heading", name="What it would do").wait_for()
    assert "line 6 (byte" in page.inner_text("main")
    assert not Dataset.objects.exists()
    page.get_by_role("button", name="Import the good ones").click()
    page.get_by_text("completed", exact=True).wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="download them").click()
    (one,) = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert (one["line"], one["field"]) == (6, "question")
    assert Dataset.objects.get().trace_count == 5
    assert Import.objects.filter(status="completed").count() == 1


def test_a_build_is_cancelled_in_the_admin(site, administrator, build):
    page = site.open(f"/admin/datasets_app/buildtask/{build.pk}/change/", user=administrator)
    page.get_by_role("button", name="Cancel this build").click()
    page.get_by_text(f"Build {build.pk} is cancelled.").wait_for()
    build.refresh_from_db()
    assert build.status == "cancelled"
