"""Chat templates: what they find, and what they must not do."""

import time

import pytest

pytest.importorskip("tokenizers")

from training.errors import ConfigError
from training.hf import sandbox
from training.hf.chat import ChatTemplate
from training.hf.tests.support import CHATML, load

# Sixty times twice as long.
DOUBLING = "{%% set n = namespace(s='aa') %%}{%% for i in range(60) %%}%s{%% endfor %%}"
NESTED = "{%% set n = namespace(l=['x']) %%}{%% for i in range(200) %%}%s{%% endfor %%}"
# Two hundred lists in each other with many members inside.
NESTED_SMALL = (
    "{% set n = namespace(l=[1] * 2000) %}{% for i in range(200) %}{% set n.l = [n.l] %}{% endfor %}"
)
KEEPING = (
    "{% set x = 'a' * 9000 %}{% set n = namespace(l=[]) %}"
    "{% for i in range(49000) %}{% set n.l = n.l + [x ~ i] %}{% endfor %}"
)
FILTERING = "{% for i in range(9999) %}{% set y = x|upper|lower|title|wordcount %}{% endfor %}"
MESSAGES = [{"role": "user", "content": "hi é"}]


def render(source, messages=MESSAGES, **values):
    template = ChatTemplate(source, name="base model x", special={"eos_token": "</s>"}, thinking=True)
    return template.render(messages, add_generation_prompt=True, **values)


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ messages | tojson }}", '[{"role": "user", "content": "hi é"}]'),
        ("{{ messages[0] | tojson(indent=1) }}", '{\n "role": "user",\n "content": "hi é"\n}'),
        ("{{ strftime_now('%Y-%m-%d') }}", "2024-07-26"),
        ("{% for x in range(9) %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "01"),
        ("{% for x in range(3) %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "02"),
        ("  {% if true %}\na\n  {% endif %}\nb", "a\nb"),
        ("{{ eos_token }}{{ bos_token }}{{ tools is none }}{{ enable_thinking }}", "</s>TrueTrue"),
        (
            "{% set n = namespace(a=0) %}{% for m in messages %}{% set n.a = n.a + 1 %}{% endfor %}{{ n.a }}",
            "1",
        ),
        (
            "{{ 'a' ~ 1 ~ messages[0].role }}{{ ['a', 'b'] | join('-') }}{{ 'abc' | replace('b', '') }}",
            "a1usera-bac",
        ),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') }}{{ 'x-y'.split('-')[-1] }}", "<a>y"),
        ("{{ '%5.1f|%%|%(a)s' % {'a': 1} if false else '%03d%%' % 7 }}", "007%"),
        (
            "{{ '%(a)s-%(b)02d' % {'a': 'x', 'b': 3} }}{{ [1, 2.5] | sum }}{{ 2.567 | round(2) }}",
            "x-033.52.57",
        ),
        (
            "{{ [1, [2, {'a': (3,)}]] }}{{ none }}{{ 'abc'[1:] }}{{ [1, 2, 3][::-1] }}{{ 'a' in 'abc' }}",
            "[1, [2, {'a': (3,)}]]Nonebc[3, 2, 1]True",
        ),
        ("{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %}", "x1"),
        ("{{ '%s!' % 'a' }}{{ messages | map(attribute='role') | list | first }}", "a!user"),
    ],
)
def test_templates_find_what_they_expect(source, written):
    assert render(source).text == written


def test_generation_blocks_are_spans_and_leave_no_mark():
    found = render("a{% generation %}b{{ 'c' }}{% endgeneration %}d{% generation %}e{% endgeneration %}")
    assert (found.text, found.spans) == ("abcde", ((1, 3), (4, 5)))
    assert render("{% generation %}a{% endgeneration %}{% generation %}b{% endgeneration %}").spans == (
        (0, 2),
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{% for %}", "cannot be parsed (line 1"),
        ("{% generation %}x", "cannot be parsed (line 1"),
        ("{{ x | nofilter }}", "cannot be parsed"),
        ("{{ raise_exception('only two roles') }}", "fails: only two roles."),
        ("{{ messages[9].content.strip() }}", "fails: UndefinedError"),
        ("{{ 1 / 0 }}", "fails: ZeroDivisionError"),
        ("{% include 'x' %}", "fails: TypeError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "fails: SecurityError"),
        ("{{ messages.append(1) }}", "fails: SecurityError"),
        ("{{ raise_exception.__globals__.os }}", "fails: SecurityError"),
        ("{{ '{0.__class__}'.format(1) }}", "fails: SecurityError"),
        ("{{ ('a' * 9).ljust(999999999) }}", "fails: SecurityError"),
        ("{{ range(999999999) | list }}", "OverflowError"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "50,000 turns"),
        ("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}", "fails: "),
        (
            "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(50) }}",
            "50,000 turns",
        ),
        ("{{ 'a' * 999999999 }}", "more than 4,000,000 characters"),
        ("{{ '%999999999d' % 1 }}", "great width"),
        ("{{ 9 ** 9999 }}", "numbers beyond all use"),
        (DOUBLING % "{% set n.s = n.s ~ n.s %}", "4,000,000"),
        (DOUBLING % "{% set n.s = n.s + n.s %}", "4,000,000"),
        (DOUBLING % "{% set s %}{{ n.s }}{{ n.s }}{% endset %}{% set n.s = s %}", "4,000,000"),
        ("{% set s = 'a' * 4000 %}{{ s.replace('a', s) | length }}", "4,000,000"),
        ("{% set s = 'a' * 4000 %}{{ s | replace('a', s) | length }}", "4,000,000"),
        ("{% set s = 'a' * 4000 %}{{ s.join(s) | length }}", "4,000,000"),
        ("{% set s = 'a' * 4000 %}{{ s | list | join(s) | length }}", "4,000,000"),
        ("{{ [1] | tojson(indent=999999999) }}", "indents"),
        ("{{ 'a' | indent(999999999) }}", "cannot be parsed"),
        ("{{ lipsum(n=99999) }}", "fails: UndefinedError"),
        ("{{ '%(a)30000000d' % {'a': 1} }}", "great width"),
        ("{{ '%%%(a)30000000d' % {'a': 1} }}", "great width"),
        ("{{ '%(a(b))30000000d' % {'a(b)': 1} }}", "great width"),
        ("{{ '%.30000000d' % 1 }}{{ '%*d' % (30000000, 1) }}", "great width"),
        (KEEPING, "64,000,000 bytes"),
        (NESTED % "{% set n.l = [n.l, n.l] %}{{ n.l | string | length }}", "64,000,000 bytes"),
        (NESTED % "{% set n.l = [n.l, n.l] %}{{ n.l | tojson | length }}", "64,000,000 bytes"),
        (NESTED % "{% set n.l = {'a': n.l, 'b': (n.l,)} %}", "64,000,000 bytes"),
        (NESTED % "{% set n.l = namespace(a=n.l, b=n.l) %}" + "{{ n.l ~ '' }}", "64,000,000 bytes"),
        ("{% set a = ['x'] * 4000 %}{% set b = [a] * 4000 %}{{ b | string | length }}", "64,000,000 bytes"),
        ("{% set s = 'a' * 3000000 %}" + "{% set s = s[1:] %}" * 99, "64,000,000 bytes"),
        ("{{ [[1]] * 90000 | sum(start=[]) | length }}", "fails: "),
        ("{{ ([[1]] * 90000) | sum(start=[]) | length }}", "sums what are no numbers"),
        ("{% for i in range(9999) %}" + "text" * 999 + "{% endfor %}", "4,000,000 characters"),
        ("{{ 1.5 | round(999999999, 'ceil') }}", "rounds to 999999999 places"),
        ("{{ (1).to_bytes(999999999) }}", "fails: SecurityError"),
        (NESTED_SMALL + "{{ n.l | tojson(indent=16) | length }}", "4,000,000 characters"),
    ],
)
def test_what_a_template_must_not_do_ends_at_once_and_says_why(source, found):
    begin = time.perf_counter()
    with pytest.raises(ConfigError) as refused:
        render(source)
    assert str(refused.value).startswith("base model x: its chat template ")
    assert found in str(refused.value)
    assert time.perf_counter() - begin < 20


def test_what_filters_make_counts(monkeypatch):
    monkeypatch.setattr(sandbox, "MAX_MADE", 9_000_000)
    with pytest.raises(ConfigError, match="takes more than 9,000,000 bytes"):
        render("{% set x = 'ab ' * 300000 %}" + FILTERING)
    monkeypatch.setattr(sandbox, "MAX_TURNS", 50)
    with pytest.raises(ConfigError, match="more than 50 turns"):
        render("{% set x = 'ab ' %}" + FILTERING)


def test_the_processor_is_not_taken_for_long(monkeypatch):
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.5)
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=r"computes for more than 0\.5 seconds"):
        render("{% set r = range(99999) | list %}{{ r | select('in', [-1] * 99999) | list | length }}")
    assert time.perf_counter() - begin < 20


def test_deep_nesting_is_refused():
    with pytest.raises(ConfigError, match="cannot be parsed"):
        render("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")


def test_a_template_is_found_wherever_models_keep_it(tmp_path):
    eos = {"eos_token": "<|im_end|>"}
    marked = [
        CHATML.replace("user", "user").replace("m.content", f"'{number}' + m.content") for number in "012"
    ]
    by_file = load(
        tmp_path, chat_template__jinja=marked[0], tokenizer_config__json={**eos, "chat_template": marked[1]}
    )
    alone = load(
        tmp_path, chat_template__jinja=None, tokenizer_config__json={**eos, "chat_template": marked[1]}
    )
    named = [{"name": "tool_use", "template": marked[1]}, {"name": "default", "template": marked[2]}]
    several = load(
        tmp_path, chat_template__jinja=None, tokenizer_config__json={**eos, "chat_template": named}
    )
    texts = [form.encoder.decode(form.prompt("q")) for form in (by_file, alone, several)]
    assert texts == [f"<|im_start|>user\n{number}q<|im_end|>\n<|im_start|>assistant\n" for number in "012"]
    assert len({by_file.hash, alone.hash, several.hash}) == 3
    with pytest.raises(ConfigError, match="chat templates tool_use, and none is the default"):
        load(tmp_path, chat_template__jinja=None, tokenizer_config__json={**eos, "chat_template": named[:1]})
