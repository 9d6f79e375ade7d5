"""How the training engine ran, in words, for the page of a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat

from runs.models import MetricPoint, Run

TIMINGS = {
    "system/lowering_time": "lowering",
    "system/compile_time": "compiling",
    "system/first_step_time": "first step",
}
_MEMORY = {
    "parameters": "parameters",
    "optimizer": "optimizer",
    "average": "moving average",
    "batch": "batch",
    "temporaries": "gradients and activations",
}


@dataclass(frozen=True, slots=True)
class EngineFact:
    """One line: what, its value, why or of what; ``warn`` where a person should look."""

    name: str
    value: str
    note: str = ""
    warn: bool = False


def engine_facts(run: Run) -> list[EngineFact]:
    """Tell what ran: layout of the data, attention, precision, memory, start-up times, skipped updates.

    Only of facts that the run recorded; an older run has fewer of them.
    """
    facts = run.provenance
    return [
        *_data(facts.get("data") or {}),
        *_attention(facts.get("attention") or {}),
        *_arithmetic(facts, run.config),
        *_memory(facts.get("memory") or {}),
        *_measured(run),
    ]


def _data(data: Mapping[str, Any]) -> Iterator[EngineFact]:
    if "utilisation" not in data:
        return
    yield EngineFact(
        "Rows",
        f"{data['rows']:,} {data['layout']} rows of {data['width']:,} positions, {data['traces']:,} traces",
        f"{data['real_tokens']:,} tokens; the longest trace takes {data['reach']:,} positions",
    )
    padded = data.get("padded_utilisation")
    note = (
        f"one trace a row would use {padded:.1%}" if padded is not None and data["layout"] == "packed" else ""
    )
    yield EngineFact("Utilisation", f"{data['utilisation']:.1%} of all positions are real tokens", note)
    if data.get("dropped"):
        yield EngineFact("Traces left out", f"{data['dropped']:,}", "longer than sequence_length", warn=True)
    if data.get("cut"):
        lost = f"{data['cut_tokens']:,} tokens in all, the end of the text among them"
        yield EngineFact("Traces cut", f"{data['cut']:,}", lost, warn=True)


def _attention(attention: Mapping[str, Any]) -> Iterator[EngineFact]:
    if attention:
        yield EngineFact(
            "Attention", attention["name"], attention["reason"], warn=bool(attention.get("fallback"))
        )


def _arithmetic(facts: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[EngineFact]:
    if dtype := facts.get("compute_dtype"):
        yield EngineFact("Precision", f"{dtype} products", "parameters, statistics and loss in float32")
    rows, batch = facts.get("micro_batch"), config.get("batch_size")
    if rows and batch:
        parts = batch // rows
        value = "the whole batch at once" if parts == 1 else f"{rows:,} rows at once, {parts:,} parts"
        yield EngineFact("Batch", f"{batch:,} rows", value)


def _memory(memory: Mapping[str, Any]) -> Iterator[EngineFact]:
    if not memory.get("peak"):
        return
    parts = ", ".join(
        f"{label} {filesizeformat(memory[key])}" for key, label in _MEMORY.items() if memory.get(key)
    )
    free = memory.get("available")
    share = f" of {filesizeformat(free)} that were free" if free else ""
    yield EngineFact("Memory of an update", f"{filesizeformat(memory['peak'])} at its peak{share}", parts)


def _measured(run: Run) -> Iterator[EngineFact]:
    points = MetricPoint.objects.filter(run=run, superseded=False, value__isnull=False)
    times = dict(points.filter(name__in=TIMINGS).order_by("step").values_list("name", "value"))
    if times:
        text = ", ".join(f"{label} {times[name]:.2f} s" for name, label in TIMINGS.items() if name in times)
        yield EngineFact("Start-up", text, "not part of the steady step time")
    skipped = (
        points.filter(name="train/skipped_updates").order_by("-step").values_list("value", flat=True).first()
    )
    if skipped:
        yield EngineFact(
            "Skipped updates",
            f"{int(skipped):,}",
            "loss or gradient was not finite; nothing changed",
            warn=True,
        )
