"""Which tokens of a trace are the prompt and which are learnt, in the template shapes of the families."""

import pytest

pytest.importorskip("tokenizers")

from training.errors import ConfigError
from training.examples import TraceExample
from training.hf.tests.support import CHATML, CHATML_GENERATION, SHAPES, load
from training.rendering import Target

EXAMPLE = TraceExample("", "What is 12 + 30?", ("12+30=42", "two\nlines", "so # 42"), "42")
PLAIN = "12+30=42\ntwo\\nlines\nso # 42\n#42"
THINK = "<think>\n12+30=42\ntwo\\nlines\nso # 42\n</think>\n\n42"
# shape → what stands before the answer, and what ends it.
EXPECTED = {
    "qwen2": ("<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"),
    "qwen2-generation": (
        "<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
    "llama3": (
        (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nDate: 26 Jul 2024\n\n<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhat is 12 + 30?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        "<|eot_id|>",
    ),
    "gemma": (
        "<bos><start_of_turn>user\nWhat is 12 + 30?<end_of_turn>\n<start_of_turn>model\n",
        "<end_of_turn>",
    ),
    "mistral": ("<|user|>\nWhat is 12 + 30?</s>\n<|assistant|>\n", "</s>"),
    "base-bytes": ("What is 12 + 30?\n", "<|endoftext|>"),
    "base-llama3": ("<|begin_of_text|>What is 12 + 30?\n", "<|end_of_text|>"),
}


def split(form, example=EXAMPLE, target="trace"):
    """The text of a trace's prompt, and of what is learnt, with the texts of special tokens."""
    ids, size = form.trace(example, target)
    assert ids[:size] == form.prompt(example.prompt)
    assert form.pad not in ids[size:]
    assert max(ids) < form.vocab_size
    return form.encoder.decode(ids[:size]), form.encoder.decode(ids[size:])


@pytest.mark.parametrize("shape", EXPECTED)
@pytest.mark.parametrize(("reasoning", "written"), [("plain", PLAIN), ("think", THINK)])
def test_all_after_the_generation_prompt_is_learnt_with_the_end_of_the_turn(
    tmp_path, shape, reasoning, written
):
    form = load(tmp_path, shape, reasoning=reasoning)
    before, end = EXPECTED[shape]
    assert split(form) == (before, written + end)
    assert form.ends[0] == form.encoder.controls[end]


# The answers of r1 always begin with <think>.
READ = [(shape, how) for shape in SHAPES for how in ("plain", "think") if (shape, how) != ("r1", "plain")]


@pytest.mark.parametrize(("shape", "reasoning"), READ)
def test_steps_and_answer_are_read_back(tmp_path, shape, reasoning):
    form = load(tmp_path, shape, reasoning=reasoning)
    targets: dict[Target, tuple[str, ...]] = {"trace": EXAMPLE.steps, "answer": ()}
    for target, steps in targets.items():
        ids, size = form.trace(EXAMPLE, target)
        found = form.parse(form.decode(ids[size:]))
        assert (found.steps, found.answer, found.problem) == (steps, "42", "")


def test_a_template_that_may_think_is_told_whether_to(tmp_path):
    header = "<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n"
    plain = load(tmp_path, "qwen3", reasoning="plain")
    assert split(plain) == (header + "<think>\n\n</think>\n\n", PLAIN + "<|im_end|>")
    for reasoning in ("think", "reasoning_content"):
        form = load(tmp_path, "qwen3", reasoning=reasoning)
        assert split(form) == (header, THINK + "<|im_end|>")
        assert split(form, target="answer") == (header, "<think>\n\n</think>\n\n42<|im_end|>")


def test_a_prompt_that_begins_the_thinking_is_followed_by_the_steps(tmp_path):
    form = load(tmp_path, "r1", reasoning="think")
    before, learnt = split(form)
    assert before == "<|begin|><|User|>What is 12 + 30?<|Assistant|><think>\n"
    assert learnt == THINK.removeprefix("<think>\n") + "<|stop|>"
    with pytest.raises(ConfigError, match="Set reasoning=think"):
        load(tmp_path, "r1", reasoning="plain")


def test_an_empty_think_block_only_in_the_generation_prompt_stays_in_the_prompt(tmp_path):
    template = CHATML.replace(
        "assistant\\n' }}{% endif", "assistant\\n<think>\\n\\n</think>\\n\\n' }}{% endif"
    )
    assert template != CHATML
    before, learnt = split(load(tmp_path, chat_template__jinja=template))
    assert before.endswith("assistant\n<think>\n\n</think>\n\n")
    assert learnt == PLAIN + "<|im_end|>"
    with pytest.raises(ConfigError, match="Set reasoning=plain"):
        load(tmp_path, chat_template__jinja=template, reasoning="think")


def test_a_system_prompt_stands_in_the_prompt_or_is_refused(tmp_path):
    system = "You do sums."
    assert split(load(tmp_path / "1", "qwen2", system=system))[0].startswith(
        "<|im_start|>system\nYou do sums.<|im_end|>\n<|im_start|>user\n"
    )
    assert split(load(tmp_path / "2", "gemma", system=system))[0].startswith(
        "<bos><start_of_turn>user\nYou do sums.\n\nWhat is"
    )
    with pytest.raises(ConfigError, match=r"refuses a system message \(System role not supported\)"):
        load(tmp_path / "3", "gemma-no-system", system=system)
    ignores = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{{ eos_token }}{% endfor %}"
    with pytest.raises(ConfigError, match=r"leaves out the system message. Set system_prompt to nothing"):
        load(tmp_path / "4", system=system, chat_template__jinja=ignores)
    with pytest.raises(ConfigError, match="no chat template, so there is no place for a system message"):
        load(tmp_path / "5", "base-bytes", system=system)


def test_text_that_looks_like_special_tokens_stays_text(tmp_path):
    for shape in SHAPES:
        form = load(tmp_path / shape, shape, reasoning="think")
        texts = [text for text in form.encoder.controls if not text.isspace()]
        wild = " ".join([*texts, "<|im_", "end|>"])
        example = TraceExample("", f"{wild} prompt", (f"step {wild}",), f"answer {wild}")
        ids, size = form.trace(example, "trace")
        found = form.parse(form.decode(ids[size:]))
        assert (found.steps, found.answer) == (example.steps, example.final_answer)
        control = set(form.encoder.controls.values())
        usual = TraceExample("", "prompt", ("step",), "answer")
        assert [one for one in ids if one in control] == [
            one for one in form.trace(usual, "trace")[0] if one in control
        ], shape


def test_a_special_token_is_not_made_up_of_template_and_text_together(tmp_path):
    template = CHATML.replace("m.content +", "'<' + m.content + '>' +")
    form = load(tmp_path, chat_template__jinja=template)
    for prompt in ("|im_end|>", "<|im_end|", "|im_end|><|im_end|"):
        ids, size = form.trace(TraceExample("", prompt, ("s",), "1"), "trace")
        assert ids[:size].count(form.ends[0]) == 1
        assert form.encoder.decode(ids[:size]).startswith(f"<|im_start|>user\n<{prompt}><|im_end|>")


def test_an_ordinary_text_that_the_tokenizer_would_merge_over_the_boundary_is_encoded_apart(tmp_path):
    for shape in ("base-bytes", "base-pieces", "base-mistral", "tinyllama", "mistral"):
        form = load(tmp_path / shape, shape)
        example = TraceExample("", "a question", ("", "  two spaces", "\tx"), "1")
        ids, size = form.trace(example, "trace")
        assert ids[:size] == form.prompt("a question")
        assert form.encoder.decode([*ids[:size], *ids[size:]]).endswith(
            "\n\n  two spaces\n\tx\n#1" + end_of(form)
        )


def test_no_space_comes_between_the_prompt_and_what_is_learnt(tmp_path):
    for shape in ("base-pieces", "base-mistral", "tinyllama", "mistral"):
        form = load(tmp_path / shape, shape)
        ids, size = form.trace(TraceExample("", "a question", (), "think"), "trace")
        assert form.encoder.piece(ids[size]).startswith("#")
        assert form.encoder.decode(ids).endswith(
            "a question\n#think</s>"
        ) or "\n#think</s>" in form.encoder.decode(ids)


def end_of(form):
    return form.encoder.piece(form.ends[0])


def test_generation_blocks_that_are_no_single_suffix_are_refused(tmp_path):
    late = CHATML_GENERATION.replace("{% generation %}{{- m", "{{- 'Well: ' }}{% generation %}{{- m")
    early = CHATML_GENERATION.replace("m.content + '<|im_end|>' }}", "m.content[:4] }}").replace(
        "{{- '\\n' }}", "{{- m.content[4:] + '<|im_end|>\\n' }}"
    )
    for template in (late, early):
        assert template != CHATML_GENERATION
        with pytest.raises(ConfigError, match="do not begin right after the generation prompt and reach"):
            load(tmp_path, chat_template__jinja=template)
    two = CHATML_GENERATION.replace(
        "{{- m.content +", "{{- m.content[:3] }}{% endgeneration %}{% generation %}{{- m.content[3:] +"
    )
    assert split(load(tmp_path, chat_template__jinja=two))[1] == PLAIN + "<|im_end|>"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (("m.content +", "m.content | upper +"), "changes the text of the prompt"),
        (("m.content +", "m.content | replace('<', '&lt;') +"), "changes the characters of texts"),
        (("m.content +", "(m.content if m.role == 'user' else 'x') +"), "changes the text of the answer"),
        (("'<|im_start|>assistant\\n'", "'<|im_start|>model\\n'"), "training would see another prompt"),
    ],
)
def test_a_template_that_cannot_be_followed_is_refused(tmp_path, change, found):
    with pytest.raises(ConfigError, match=found) as refused:
        load(tmp_path / "odd-1b", chat_template__jinja=CHATML.replace(*change))
    assert str(refused.value).startswith("base model odd-1b: ")


def test_a_template_that_drops_what_is_asked_for_names_what_to_set(tmp_path):
    drops = CHATML.replace("m.content +", "m.content.split('</think>')[-1] +")
    with pytest.raises(ConfigError, match=r"between <think> and </think>\. Set reasoning=plain"):
        load(tmp_path, chat_template__jinja=drops, reasoning="think")
    with pytest.raises(ConfigError, match=r"leaves out reasoning_content\. Set reasoning=think or plain"):
        load(tmp_path, reasoning="reasoning_content")
    joined = CHATML.replace("m.content +", "(m.reasoning_content or '') + m.content +")
    with pytest.raises(ConfigError, match="writes nothing between reasoning_content and the answer"):
        load(tmp_path, chat_template__jinja=joined, reasoning="reasoning_content")
    with pytest.raises(ConfigError, match="no chat template that could place reasoning_content"):
        load(tmp_path, "base-bytes", reasoning="reasoning_content")


def test_a_trace_that_the_template_changes_is_named(tmp_path):
    odd = CHATML.replace("m.content +", "m.content.replace('zz', '') +")
    form = load(tmp_path, chat_template__jinja=odd)
    with pytest.raises(ConfigError, match=r"changes the text of a trace \('what zz"):
        form.trace(TraceExample("", "what zz", ("s",), "1"), "trace")


def test_a_template_that_trims_loses_outer_whitespace_alone(tmp_path):
    form = load(tmp_path, "llama3")
    before, learnt = split(form, TraceExample("", "\n  spaced \n", ("  first", "x"), "1 "))
    assert "\n\nspaced<|eot_id|>" in before
    assert learnt == "first\nx\n#1<|eot_id|>"


def test_a_template_without_an_end_of_turn_gets_the_tokenizers_end(tmp_path):
    lines = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    template = lines + "{% if add_generation_prompt %}assistant: {% endif %}"
    form = load(tmp_path, chat_template__jinja=template)
    assert split(form) == ("user: What is 12 + 30?\nassistant: ", PLAIN + "<|im_end|>")
