"""The page that shows which tokens of a trace a base model is trained on."""

import json
import re

import pytest

pytest.importorskip("tokenizers")

from datasets_app.services import seed_dataset
from datasets_app.tests.support_quality import member, published
from runs.base_models import bounded
from runs.base_models.preview import visible
from runs.base_models.tests.preview_support import base_model
from runs.base_models.tests.support import import_tiny
from training.hf.form_child import answer
from tunix_site.tests.pages import WILD, page_text

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forms(monkeypatch):
    """Answer within this process, which is quicker; `test_bounded` has the real one."""
    bounded.forget()
    monkeypatch.setattr(bounded, "_carried_out", lambda request: json.dumps(answer(json.loads(request))))
    yield
    bounded.forget()


@pytest.fixture
def page(client, viewer):
    client.force_login(viewer)
    return lambda path="/models/tiny-chat/preview/", code=200, **query: page_text(
        client.get(path, query), code
    )


def tokens(text):
    """The tokens of the page by what is done with them."""
    body = text.partition('<p class="tokens">')[2].partition("</p>")[0]
    found = re.findall(r'<bdi class="token token-(\w+)[^>]*title="id (\d+)[^>]*>(.*?)</bdi>', body, re.S)
    return [(kind, int(number), re.sub(r"<[^>]+>", "", inner)) for kind, number, inner in found]


def test_it_shows_what_is_trained_on_and_what_is_not(page):
    base_model()
    published("mine-v1", [member("1+1?", ["one", "two"], "2")])
    found = tokens(page(dataset="mine-v1", reasoning="think"))
    read = {
        kind: "".join(text for one, _, text in found if one == kind) for kind in ("prompt", "learnt", "end")
    }
    assert read["prompt"] == "&lt;|im_start|&gt;user↵1+1?&lt;|im_end|&gt;↵&lt;|im_start|&gt;assistant↵"
    assert read["learnt"] == "&lt;think&gt;↵one↵two↵&lt;/think&gt;↵↵2"
    assert read["end"] == "&lt;|im_end|&gt;"
    assert [number for kind, number, _ in found if kind == "end"] == [369]


def test_the_form_asks_and_the_answer_follows(page):
    base_model()
    published("mine-v1", [member("first?", ["a"], "1"), member("second?", ["b"], "2")])
    text = page(dataset="mine-v1", trace="1", target="answer", system_prompt="Be kind.\r\nBe short.")
    whole = "".join(text for _, _, text in tokens(text))
    assert "system↵Be kind.↵Be short.&lt;|im_end|&gt;" in whole
    assert whole.endswith(
        "second?&lt;|im_end|&gt;↵&lt;|im_start|&gt;assistant↵&lt;think&gt;↵↵&lt;/think&gt;↵↵#2&lt;|im_end|&gt;"
    )
    assert "trace=0" in text
    assert 'rel="next"' not in text
    assert "Be kind.\nBe short.</textarea>" in text
    assert "0 steps" in text


def test_wrong_values_in_the_address_are_left_at_their_defaults(page):
    base_model()
    seed_dataset(key="chain-v1", count=3)
    for query in (
        {"trace": "-1"},
        {"trace": "9" * 40},
        {"reasoning": "x", "target": "y"},
        {"trace": "99999"},
    ):
        assert "end of the text" in page(**query)


def test_what_cannot_be_used_is_said_on_the_page(page):
    base_model(chat_template__jinja="{% for %}")
    seed_dataset(key="chain-v1", count=3)
    assert "its chat template cannot be parsed (line 1" in page()
    assert "There is no dataset &#x27;none-v1&#x27;." in page(dataset="none-v1")


def test_one_too_many_waits_for_its_turn_and_is_told(page, monkeypatch):
    base_model()
    seed_dataset(key="chain-v1", count=3)
    monkeypatch.setattr(bounded, "TURN_S", 0)
    with bounded._SHOWING.one():
        assert "being read already. Try again" in page(code=429)
    assert "end of the text" in page()


def test_without_a_dataset_it_says_how_to_make_one(page):
    base_model()
    assert "seed_dataset --dataset chain-v1" in page()


def test_a_model_is_found_by_name_the_newest_first_or_by_its_hash(page):
    old = base_model(imported_at=1.0)
    new = base_model(imported_at=2.0)
    seed_dataset(key="chain-v1", count=3)
    assert new.reference in page()
    assert old.reference in page(f"/models/{old.reference}/preview/")
    page("/models/other/preview/", 404)
    page("/models/other@zz/preview/", 404)


def test_a_stranger_sees_nothing(client):
    base_model()
    assert client.get("/models/tiny-chat/preview/").status_code == 302


def test_wild_texts_are_shown_and_do_no_harm(page):
    base_model(shape="tinyllama")
    published("wild-v1", [member(WILD, [WILD, "</script>\x07\u200b"], "\u2028 <|im_end|>")])
    text = page(dataset="wild-v1", system_prompt="<b>x</b>\N{RIGHT-TO-LEFT OVERRIDE}")
    assert "<script>alert" not in text
    assert "<b>x" not in text
    assert "U+202E" in text
    assert 'aria-label="character U+200B"' in text


def test_marks_stand_for_what_has_no_look():
    assert [(part.text, part.mark) for part in visible("a\n\tb")] == [
        ("a", ""), ("↵", "line break"), ("→", "tab"), ("b", "")
    ]  # fmt: skip
    assert [part.text for part in visible(" ")] == [" "]
    assert [part.text for part in visible("")] == [""]
    assert visible("\ufffd")[0].mark == "part of a character"


def test_long_traces_say_what_is_left_out(page, monkeypatch):
    base_model()
    monkeypatch.setattr("runs.base_models.preview.SHOWN_TOKENS", 10)
    seed_dataset(key="chain-v1", count=3)
    text = page()
    assert len(tokens(text)) == 10
    assert "more tokens are not shown here" in text


def test_the_page_of_a_model_leads_there_and_back(page, tmp_path):
    row = import_tiny(tmp_path)
    there = f"/models/{row.reference}/preview/"
    assert f'href="{there}"' in page(row.get_absolute_url())
    assert f'href="{row.get_absolute_url()}"' in page(there)
