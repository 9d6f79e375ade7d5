"""Recipes out of sweep flags."""

import pytest

from runs.benchmarks.sweeps import combinations
from tunix_site.errors import InvalidInputError


def test_without_a_flag_there_is_the_one_recipe():
    assert combinations([]) == [[]]


def test_each_combination_is_measured_in_order_with_short_names_spelt_out():
    assert combinations(["batch=8,16", "remat=none,block"]) == [
        ["batch_size=8", "remat=none"],
        ["batch_size=8", "remat=block"],
        ["batch_size=16", "remat=none"],
        ["batch_size=16", "remat=block"],
    ]


def test_a_value_given_twice_is_measured_once():
    assert combinations(["length= 64, 64 ,128"]) == [["sequence_length=64"], ["sequence_length=128"]]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["batch"], "write FIELD=VALUE"),
        (["=8"], "write FIELD=VALUE"),
        (["batch=,"], "write FIELD=VALUE"),
        (["batch=8", "batch_size=16"], "swept twice"),
        (
            [f"batch={','.join(map(str, range(1, 12)))}", f"seed={','.join(map(str, range(10)))}"],
            "110 recipes",
        ),
    ],
)
def test_what_makes_no_sweep_is_refused_by_name(flags, said):
    with pytest.raises(InvalidInputError, match=said):
        combinations(flags)
