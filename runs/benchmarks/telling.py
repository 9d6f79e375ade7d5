"""Benchmarks in words, for the terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from runs.benchmarks.records import benchmark_path
from runs.benchmarks.regression import Comparison
from runs.models import Benchmark
from training.config import HARMLESS_FIELDS


def tell(row: Benchmark, say: Callable[[str], Any]) -> None:
    """Tell what was measured, in a few lines."""
    record = row.record
    say(
        f"Benchmark {row.pk}: {row.model} on {row.device_name}, batch {row.batch_size}, "
        f"length {row.sequence_length}, {row.precision}"
    )
    if row.failure:
        say(f"  failed: {row.failure}")
        return
    times = record["step_time"]
    cached = " from the cache" if record["compile_cache_hit"] else ""
    say(
        f"  lowering {record['lowering_s']:.2f} s, compile {record['compile_s']:.2f} s{cached}, "
        f"first step {record['first_step_s']:.3f} s"
    )
    say(
        f"  steady step: median {times['median'] * 1e3:.2f} ms "
        f"(p10 {times['p10'] * 1e3:.2f}, p90 {times['p90'] * 1e3:.2f})"
    )
    say(
        f"  {record['steps_per_second']:.2f} steps/s, {record['examples_per_second']:,.0f} examples/s, "
        f"{record['tokens_per_second']:,.0f} tokens/s, with padding {record['padded_tokens_per_second']:,.0f}"
    )
    limits = record["limits"]
    specified = limits["share_of_specified_peak"]
    say(
        f"  {limits['useful_flops_per_second'] / 1e9:,.0f} GFLOP/s, "
        f"{limits['share_of_measured_peak']:.1%} of the product peak measured here"
        + (f", {specified:.1%} of the maker's" if specified is not None else "")
    )
    say(f"  limited by {limits['verdict']}: {limits['why']}")
    say(f"  written to {benchmark_path(row)}")


def table(rows: Sequence[Benchmark]) -> str:
    """Lay the recipes of a sweep below each other."""
    lines = [f"{'benchmark':>9}  {'batch':>6} {'length':>6}  {'step ms':>9} {'tokens/s':>10}  of peak  limit"]
    for row in rows:
        if row.failure:
            lines.append(f"{row.pk:>9}  {row.batch_size:>6} {row.sequence_length:>6}  failed: {row.failure}")
            continue
        limits = row.record["limits"]
        ms, share = (row.step_time_median or 0) * 1e3, limits["share_of_measured_peak"]
        lines.append(
            f"{row.pk:>9}  {row.batch_size:>6} {row.sequence_length:>6}  {ms:>9.2f} "
            f"{row.tokens_per_second or 0:>10,.0f}  {share:>7.1%}  {limits['verdict']}"
        )
    return "\n".join(lines)


def other_recipe(row: Benchmark, baseline: Benchmark) -> Iterator[str]:
    """Name what makes two benchmarks measure different things."""
    if row.recipe == baseline.recipe:
        return
    ours, theirs = row.run.config, baseline.run.config
    for name in sorted({*ours, *theirs} - HARMLESS_FIELDS - {"steps"}):
        if ours.get(name) != theirs.get(name):
            yield f"{name} {theirs.get(name)} → {ours.get(name)}"
    if row.run.dataset_id != baseline.run.dataset_id:
        yield f"dataset {baseline.record.get('dataset')} → {row.record.get('dataset')}"


def facts(found: Comparison) -> dict[str, Any]:
    """Give a comparison as plain JSON values."""
    return {**asdict(found), "words": found.in_words()}
