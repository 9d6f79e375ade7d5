"""The pages about datasets."""

import re

import pytest

from datasets_app.models import Trace
from datasets_app.services import seed_dataset, store_handed_in
from datasets_app.traces import make_trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)

    def read(url: str, status: int = 200) -> str:
        answer = client.get(url)
        assert answer.status_code == status
        return str(answer.content, "utf-8")

    return read


def test_the_list_without_datasets_names_the_next_command(page):
    assert "python manage.py seed_dataset --dataset golden-v2" in page("/datasets/")


def test_the_list_shows_every_content_and_marks_the_earlier_ones(page):
    first = seed_dataset(key="golden-v2", count=5).dataset
    second = seed_dataset(key="golden-v2", count=6).dataset
    text = page("/datasets/")
    assert first.content_hash[:12] in text
    assert second.content_hash[:12] in text
    assert text.count("earlier content") == 1
    assert "seed_dataset --dataset chain-v1" in text


def test_the_card_says_what_the_dataset_is(page):
    dataset = seed_dataset(key="golden-v2", count=30).dataset
    text = page("/datasets/golden-v2/")
    assert dataset.content_hash in text
    assert dataset.description in text
    assert "Apache-2.0" in text
    assert "tunix_site, generated: golden-v2 version 1" in text
    assert "generator version" in text
    assert "version 1, operations 8" in text
    assert f'href="/api/datasets/{dataset.address}/export.jsonl?format=messages"' in text


def test_each_trace_shows_prompt_checked_steps_and_answer(page):
    dataset = seed_dataset(key="golden-v2", count=5).dataset
    text = page("/datasets/golden-v2/")
    first = dataset.members.all()[0].trace
    assert first.prompt in text
    assert f"<bdi>{first.steps[0]['content']}</bdi>" in text
    assert text.count('class="ok"') == sum(row.trace.step_count for row in dataset.members.all())
    assert 'class="bad"' not in text


def test_a_wrong_step_is_marked(page):
    dataset = seed_dataset(key="chain-v1", count=1).dataset
    trace = dataset.members.all()[0].trace
    steps = trace.steps
    last = steps[-1]["content"]
    steps[-1]["content"] = last[:-1] + str((int(last[-1]) + 1) % 10)
    Trace.objects.filter(pk=trace.pk).update(steps=steps)
    text = page("/datasets/chain-v1/")
    assert text.count('class="bad"') == 1
    assert "invalid:" in text


def test_a_handwritten_trace_is_marked_as_not_checked(page):
    seed_dataset(key="golden-v1")
    text = page("/datasets/golden-v1/")
    assert 'class="unknown"' in text
    assert 'class="ok"' not in text


def shown(text: str) -> list[int]:
    return [int(position) for position in re.findall(r'id="trace-(\d+)"', text)]


def test_traces_come_in_pages(page):
    seed_dataset(key="golden-v2", count=45)
    assert shown(page("/datasets/golden-v2/")) == list(range(20))
    last = page("/datasets/golden-v2/?page=3")
    assert shown(last) == list(range(40, 45))
    assert "page 3 of 3" in last
    assert 'href="?page=2#traces"' in last


@pytest.mark.parametrize(
    ("wanted", "first"), [("0", 0), ("-1", 0), ("x", 0), ("²", 0), ("999", 40), ("9" * 40, 0)]
)
def test_a_page_that_is_not_there_leads_to_one_that_is(page, wanted, first):
    seed_dataset(key="golden-v2", count=45)
    assert shown(page(f"/datasets/golden-v2/?page={wanted}"))[0] == first


def test_traces_are_filtered_by_split_and_family(page):
    dataset = seed_dataset(key="golden-v2", count=100).dataset
    positions = list(dataset.members.filter(split="test").values_list("position", flat=True))
    assert shown(page("/datasets/golden-v2/?split=test")) == positions[:20]
    cups = list(dataset.members.filter(family="cups").values_list("position", flat=True))
    assert shown(page("/datasets/golden-v2/?family=cups")) == cups
    both = list(dataset.members.filter(family="cups", split="train").values_list("position", flat=True))
    assert shown(page("/datasets/golden-v2/?family=cups&split=train")) == both
    assert len(shown(page("/datasets/golden-v2/?split=nope&family=nope"))) == 20


def test_a_content_is_reached_by_its_hash(page):
    first = seed_dataset(key="golden-v2", count=5).dataset
    seed_dataset(key="golden-v2", count=6)
    assert first.content_hash in page(f"/datasets/golden-v2@{first.content_hash[:8]}/")


@pytest.mark.parametrize("address", ["nope", "golden-v1@0000", "golden-v1@x", "@", "a@b@c"])
def test_an_unknown_address_is_a_404_page(page, address):
    seed_dataset(key="golden-v1")
    assert "<html" in page(f"/datasets/{address}/", status=404)


def test_what_a_trace_says_is_text_not_markup(page):
    from datasets_app.build_request import BuildRequest
    from datasets_app.builds import build

    record = make_trace(prompt="<script>alert(1)</script>", steps=["<b>s</b>"], final_answer="<i>")
    store_handed_in(traces=[(record, "<u>lab", "", "")])
    build(request=BuildRequest(dataset_name="mine", limit=1))
    text = page("/datasets/mine-v1/")
    assert "&lt;script&gt;alert(1)" in text
    assert not any(tag in text for tag in ("<script>alert", "<b>s", "<i>", "<u>lab"))


def test_the_pages_need_a_login(client):
    seed_dataset(key="golden-v1")
    for url in ("/datasets/", "/datasets/golden-v1/"):
        assert client.get(url).status_code == 302


def test_the_pages_cost_few_queries(page, django_assert_max_num_queries):
    for count in range(1, 9):
        seed_dataset(key="golden-v2", count=count * 5)
    with django_assert_max_num_queries(10):
        page("/datasets/")
    with django_assert_max_num_queries(14):
        page("/datasets/golden-v2/")
