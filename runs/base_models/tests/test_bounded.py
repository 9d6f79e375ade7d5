"""The short process in which the site uses a base model's tokenizer and template."""

import json
import threading

import pytest

pytest.importorskip("tokenizers")

from runs.base_models import bounded
from runs.base_models.tests.preview_support import base_model
from training import bases
from training.config import make_config
from training.errors import ConfigError
from training.hf import form_child
from training.rendering import parse_completion
from training.text_form import text_form

SHOW = {"prompt": "1+1?", "steps": ["a"], "answer": "2", "target": "trace", "most": 5, "longest": 9}


@pytest.fixture(autouse=True)
def answers():
    bounded.forget()
    yield
    bounded.forget()


def recipe(base, **more):
    return make_config({"model": base.reference, "reasoning": "think", **more})


def test_a_process_says_what_the_form_itself_does_and_is_asked_once(monkeypatch):
    base = base_model()
    config, form = recipe(base), text_form(recipe(base))
    assert bounded.count_tokens(config, "how many?") == len(form.prompt("how many?"))
    text = "<think>\none\ntwo\n</think>\n\n2"
    assert bounded.parser(config)(text) == form.parse(text)
    monkeypatch.setattr("subprocess.run", None)
    assert bounded.count_tokens(config, "how many?") == len(form.prompt("how many?"))
    assert bounded.parser(config)(text).steps == ("one", "two")
    assert bounded.count_tokens(make_config({}), "ab") == 3


def test_a_base_that_is_gone_leaves_texts_to_be_read_as_from_scratch():
    config = make_config({"model": f"gone@{'a' * 12}"})
    assert bounded.parser(config) is parse_completion
    with pytest.raises(ConfigError, match="is not on this machine"):
        bounded.count_tokens(config, "x")


def test_the_process_knows_no_secret(monkeypatch):
    for name in ("DATABASE_URL", "DJANGO_SECRET_KEY", "HF_TOKEN", "PGPASSWORD", "DJANGO_SETTINGS_MODULE"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in bounded._environment().values()


def test_what_stops_a_template_is_said():
    base = base_model(chat_template__jinja="{{ '%(a)30000000d' % {'a': 1} }}")
    with pytest.raises(ConfigError, match="its chat template fails: it formats a text to a great width"):
        bounded.count_tokens(recipe(base), "x")
    assert bounded.parser(recipe(base)) is parse_completion


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(bounded, "MEMORY", 64 << 20)
    with pytest.raises(ConfigError, match="memory"):
        bounded.count_tokens(recipe(base_model()), "x")


def test_the_processor_is_bounded(monkeypatch):
    monkeypatch.setattr(bounded, "SECONDS", 0)
    with pytest.raises(ConfigError, match="compute for more than"):
        bounded.count_tokens(recipe(base_model()), "x")


def test_the_clock_is_bounded_and_what_it_ended_is_asked_again(monkeypatch):
    config = recipe(base_model())
    monkeypatch.setattr(bounded, "WAIT_S", 0.01)
    with pytest.raises(ConfigError, match="no answer within"):
        bounded.count_tokens(config, "x")
    monkeypatch.setattr(bounded, "_carried_out", lambda request: json.dumps({"result": {"tokens": 7}}))
    assert bounded.count_tokens(config, "x") == 7


def test_few_are_at_work_at_once(monkeypatch):
    base, at_work, most, lock = base_model(), [0], [0], threading.Lock()
    meet = threading.Event()

    def carried_out(request):
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        meet.wait(0.1)
        with lock:
            at_work[0] -= 1
        return json.dumps({"result": {"tokens": 1}})

    monkeypatch.setattr(bounded, "_carried_out", carried_out)
    monkeypatch.setattr(bases, "find_base", lambda model: base)
    threads = [threading.Thread(target=bounded.count_tokens, args=(recipe(base), str(i))) for i in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == [bounded.ASKING]


def test_a_missing_extra_is_named_in_a_line(monkeypatch, tmp_path):
    (tmp_path / "tokenizers.py").write_text("raise ImportError('none here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ConfigError, match="needs the extra `models`"):
        bounded.count_tokens(recipe(base_model()), "x")


def test_a_trace_is_shown_as_far_as_asked():
    shown = form_child.answer(
        {"folder": str(base_model().folder), "reasoning": "plain", "system_prompt": "", "show": SHOW}
    )["result"]["shown"]
    assert (len(shown["ids"]), len(shown["pieces"]), shown["steps"], shown["answer"]) == (5, 5, 1, "2")
    assert shown["total"] > 5
