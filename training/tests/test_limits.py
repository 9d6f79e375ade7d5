"""What limits an update, and shares that cannot be."""

from dataclasses import replace

import pytest

from training.bench.limits import Peaks, Work, judge, specified_peak
from training.errors import TrainingError

PEAKS = Peaks(product=100e9, copy=20e9)
WORK = Work(
    seconds=1.0,
    useful_flops=70e9,
    computed_flops=72e9,
    bytes_moved=2e9,
    host_seconds=0.01,
    real_token_share=0.97,
)


def test_products_near_their_peak_are_the_limit():
    found = judge(WORK, PEAKS)
    assert found.verdict == "arithmetic"
    assert "72%" in found.why
    assert found.share_of_measured_peak == pytest.approx(0.70)
    assert found.share_of_specified_peak is None


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"bytes_moved": 18e9}, "memory"),
        ({"host_seconds": 0.4}, "host"),
        ({"real_token_share": 0.5}, "padding"),
        ({"useful_flops": 5e9, "computed_flops": 6e9}, "small operations"),
        ({"useful_flops": 5e9, "computed_flops": 6e9, "bytes_moved": None}, "small operations"),
    ],
)
def test_each_limit_has_its_verdict_and_a_reason(changes, verdict):
    found = judge(replace(WORK, **changes), PEAKS)
    assert found.verdict == verdict
    assert "%" in found.why


@pytest.mark.parametrize(
    ("work", "peaks"),
    [
        (replace(WORK, seconds=0.5), PEAKS),
        (WORK, replace(PEAKS, product=200e9, specified_product=50e9)),
    ],
)
def test_more_than_all_of_a_peak_is_refused_as_an_error_of_measuring(work, peaks):
    with pytest.raises(TrainingError, match="cannot be"):
        judge(work, peaks)


@pytest.mark.parametrize(
    ("device", "precision", "peak"),
    [
        ("NVIDIA H200", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA H200", "float32", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bfloat16", None),
        ("cpu", "bfloat16", None),
    ],
)
def test_a_makers_figure_counts_only_where_it_is_for_that_card_and_precision(device, precision, peak):
    assert specified_peak(device, precision) == peak
