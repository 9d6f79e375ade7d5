"""The README of an exported model: what it is, where it comes from, how good it was found to be."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from runs.evaluations.wording import decoding_in_words, grader_in_words
from runs.models import Checkpoint, Evaluation, Run
from runs.selectors import run_evaluations
from training.bases import Base, find_base, is_base
from training.config import TrainConfig, make_config
from training.hf.formats import Format
from training.rendering import prompt_text
from tunix_site import __version__

MOST_EVALUATIONS: Final = 20


def write_card(run: Run, checkpoint: Checkpoint, *, format: Format) -> str:
    """Write the model card of a checkpoint, in Markdown with the hub's front matter.

    Raises:
        ConfigError: for a base model that is not here.
    """
    config = make_config(run.config)
    base = find_base(config.model) if is_base(config.model) else None
    title = run.name or f"Run {run.pk}, step {checkpoint.step}"
    lines = [
        *_front(base, format),
        f"# {_plain(title)}",
        "",
        _first_words(run, base, format),
        "",
        "## Where it comes from",
        "",
        *_table([("what", "value"), *_provenance(run, checkpoint, base)]),
        "",
        "## Evaluation",
        "",
        *_evaluations(run, checkpoint),
        "",
        "## How to use it",
        "",
        *_usage(config, base, format),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _front(base: Base | None, format: Format) -> Iterator[str]:
    """Write the block that the hub reads; JSON texts are YAML texts."""
    yield "---"
    yield f"library_name: {'peft' if format == 'adapter' else 'transformers'}"
    yield "pipeline_tag: text-generation"
    if base is not None:
        if base.record.is_on_hub:
            yield f"base_model: {json.dumps(base.record.source)}"
            yield f"base_model_relation: {'adapter' if format == 'adapter' else 'finetune'}"
        if base.record.licence:
            yield f"license: {json.dumps(base.record.licence)}"
    yield "tags: [reasoning-traces]"
    yield "---"
    yield ""


def _first_words(run: Run, base: Base | None, format: Format) -> str:
    if base is None:
        return f"A model trained from scratch by run {run.pk} on reasoning traces, one byte a token."
    source = _code(base.record.source)
    if format == "adapter":
        return f"A LoRA adapter for {source}, trained by run {run.pk} on reasoning traces."
    return f"{source}, fine-tuned by run {run.pk} on reasoning traces."


def _provenance(run: Run, checkpoint: Checkpoint, base: Base | None) -> Iterator[tuple[str, str]]:
    config, facts = run.config, run.provenance
    yield "run", f"{run.pk} ({run.uid}), {run.address}"
    yield "checkpoint", f"step {checkpoint.step} of {run.total_steps}, attempt {checkpoint.attempt}"
    if config.get("ema_decay"):
        yield "weights", "the moving average, which is what was evaluated"
    if config.get("method") == "qlora":
        yield "trained beside", f"the base in {config.get('quantization')}, which merged weights hold"
    if digest := checkpoint.metadata.get("params_hash"):
        yield "params_hash of the checkpoint", _code(digest)
    if base is not None:
        revision = f" at revision {_code(base.record.revision)}" if base.record.revision else ""
        yield "base model", f"{_code(base.record.source)}{revision}"
        yield "content hash of the base", _code(base.record.content_hash)
        yield "licence of the base", _plain(base.record.licence) or "not known; see the base"
    if run.dataset is not None:
        yield "dataset", _code(run.dataset.key)
        yield "content hash of the dataset", _code(run.dataset.content_hash)
    yield "code", _code_version(facts)
    device = (facts.get("device") or {}).get("device_kind")
    if device:
        yield "trained on", _plain(str(device))
    packages = facts.get("packages") or {}
    named = [f"{name} {packages[name]}" for name in ("jax", "flax", "optax") if name in packages]
    if named:
        yield "packages", ", ".join(named)


def _code_version(facts: dict[str, Any]) -> str:
    commit = facts.get("git_commit")
    if not commit:
        return f"tunix_site {__version__}"
    changed = ", with uncommitted changes" if facts.get("git_dirty") else ""
    return f"tunix_site {__version__}, commit {_code(str(commit)[:12])}{changed}"


def _evaluations(run: Run, checkpoint: Checkpoint) -> list[str]:
    rows = list(run_evaluations(run=run).filter(step__in={0, checkpoint.step})[: MOST_EVALUATIONS + 1])
    if not any(row.step == checkpoint.step for row in rows):
        return ["This checkpoint was not evaluated."]
    head = ("step", "dataset", "split", "n", "answers right", "95 % interval", "grader", "written")
    table = _table([head, *(_result(row) for row in rows[:MOST_EVALUATIONS])])
    return [*table, "", "Step 0 is the model before its first update."] if rows[0].step == 0 else table


def _result(row: Evaluation) -> tuple[str, ...]:
    return (
        str(row.step),
        _code(row.dataset.address) if row.dataset else "",
        row.split,
        str(row.n),
        f"{row.correct} ({row.answer_accuracy:.1%})",
        f"{row.interval_low:.1%} to {row.interval_high:.1%}",
        _plain(grader_in_words(row)),
        _plain(decoding_in_words(row.decoding)),
    )


def _usage(config: TrainConfig, base: Base | None, format: Format) -> list[str]:
    if base is None:
        begun = _code(json.dumps(prompt_text("PROMPT")))
        form = f"It has no chat template: write {begun} and let it go on."
        return [*_opened("PATH"), "", f"{form} It writes one step a line, then `#` and the answer."]
    if format == "hf":
        return [*_opened("PATH"), "", *_form(config)]
    source = base.record.source if base.record.is_on_hub else "FOLDER OF THE BASE"
    return [*_opened(source, adapter=True), "", *_form(config)]


def _opened(model: str, *, adapter: bool = False) -> list[str]:
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(model)})",
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(model)})",
    ]
    if adapter:
        lines.insert(0, "from peft import PeftModel")
        lines.append('model = PeftModel.from_pretrained(model, "PATH")')
    return ["```python", *lines, "```"]


def _form(config: TrainConfig) -> Iterator[str]:
    """Say in what form a base model was trained to read and write."""
    told = {
        "plain": "as lines before `#` and the answer",
        "think": "between `<think>` and `</think>`",
        "reasoning_content": "where the chat template puts `reasoning_content`",
    }
    yield (
        "It was trained on the base's chat template, or on the plain prompt and a line break where there is "
        f"none. Steps stand {told[config.reasoning]}."
    )
    if config.system_prompt:
        yield ""
        yield "With this system message:"
        yield ""
        yield from (f"> {line}" for line in config.system_prompt.splitlines())


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *rest]


def _code(text: str) -> str:
    return f"`{text.replace('`', '').replace('|', '/')}`"


def _plain(text: str) -> str:
    """Keep a text on its line and in its cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
