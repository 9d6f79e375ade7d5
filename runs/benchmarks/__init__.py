"""Benchmarks: their records, what they are compared with, and whether something became slower."""

from runs.benchmarks.records import (
    benchmark_path,
    compare_rows,
    find_baseline,
    store_benchmark,
    store_failure,
    write_json,
)

__all__ = [
    "benchmark_path",
    "compare_rows",
    "find_baseline",
    "store_benchmark",
    "store_failure",
    "write_json",
]
