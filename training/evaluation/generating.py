"""The texts of an evaluation: generated batch by batch, kept on the disk, taken up again."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from training.assembly import Assembly
from training.code_facts import training_code
from training.decoding import Decoding, GeneratedText
from training.evaluation.written import WrittenTexts, key_of
from training.generate import Generator, batch_rows
from training.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where texts are kept, what besides prompts and settings decides them, and who is told."""

    path: Path
    facts: Mapping[str, Any]
    recorder: Recorder


@dataclass(frozen=True, slots=True)
class Written:
    """All texts, prompt by prompt, the seconds that they took, and of these the earlier starts'."""

    texts: list[GeneratedText]
    seconds: float
    earlier_seconds: float


def write_all(
    generate: Generator,
    params: Any,
    prompts: Sequence[str],
    *,
    decoding: Decoding,
    assembly: Assembly,
    should_stop: Callable[[], bool],
    keeping: Keeping | None = None,
) -> Written:
    """Write after every prompt; batches that are kept already are taken from the disk.

    A batch always holds the same rows, so what was interrupted ends in the same texts.

    Raises:
        StopRequestedError: as soon as ``should_stop`` is true; whole batches are kept.
    """
    size, total = assembly.config.eval_batch_size, len(prompts) * decoding.samples
    kept = _kept(keeping, prompts, decoding, assembly) if keeping else None
    found = {start: batch.texts for start, batch in kept.batches.items()} if kept else {}
    earlier = sum(batch.seconds for batch in kept.batches.values()) if kept else 0.0
    done = sum(map(len, found.values()))
    if keeping and found:
        keeping.recorder.resumed(done // decoding.samples)
        keeping.recorder.log(f"Going on after {done} of {total} texts, which are on the disk.")
    seconds, began = earlier, time.perf_counter()
    for start, texts in generate.batches(
        params, prompts, decoding=decoding, batch_size=size, should_stop=should_stop, skip=found.keys()
    ):
        now = time.perf_counter()
        if kept:
            kept.keep(start, texts, now - began)
        seconds, began = seconds + now - began, time.perf_counter()
        found[start] = texts
        done += len(texts)
        if keeping:
            keeping.recorder.phase("evaluating", done // decoding.samples)
    return Written([text for start in sorted(found) for text in found[start]], seconds, earlier)


def _kept(keeping: Keeping, prompts: Sequence[str], decoding: Decoding, assembly: Assembly) -> WrittenTexts:
    """Read what is on the disk of this very evaluation, cut into the batches that it would make."""
    whole = len(prompts) * decoding.samples
    rows = batch_rows(whole, assembly.config.eval_batch_size) if whole else 1
    facts = {
        "prompts": list(prompts),
        "decoding": decoding.model_dump(),
        "rows": rows,
        # What other code or another device writes may differ in its last bits, and so in its words.
        "code": training_code(),
        "jax": jax.__version__,
        "device": assembly.device.device_kind,
        "dtype": str(assembly.dtype),
        **keeping.facts,
    }
    kept = WrittenTexts.read(keeping.path, key=key_of(facts), told=keeping.recorder.log)
    kept.batches = {
        start: batch
        for start, batch in kept.batches.items()
        if start in range(0, whole, rows) and len(batch.texts) == min(rows, whole - start)
    }
    return kept
