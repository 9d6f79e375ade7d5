import pytest

from training.decoding import Decoding, make_decoding
from training.errors import ConfigError


def test_the_defaults_are_greedy():
    assert Decoding().greedy
    assert not Decoding(temperature=0.7).greedy


def test_settings_come_from_text_as_flags_give_it():
    made = make_decoding({"temperature": "0.8", "top_k": "40", "top_p": "0.9", "samples": "3"})
    assert made == Decoding(temperature=0.8, top_k=40, top_p=0.9, samples=3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": -1}, "temperature: .*greater than or equal to 0 .*given: -1"),
        ({"temperature": 1000}, "temperature: .*less than or equal to 100"),
        ({"temperature": float("nan")}, "temperature: .*finite number"),
        ({"temperature": float("inf")}, "temperature: .*finite number"),
        ({"temperature": 1e-9}, "temperature=1e-09 is neither 0 .*nor at least 0.001"),
        ({"temperature": 1, "top_k": -1}, "top_k: .*greater than or equal to 0"),
        ({"temperature": 1, "top_p": 0}, "top_p: .*greater than 0"),
        ({"temperature": 1, "top_p": 1.01}, "top_p: .*less than or equal to 1"),
        ({"temperature": 1, "samples": 0}, "samples: .*greater than or equal to 1"),
        ({"max_new_tokens": 0}, "max_new_tokens: .*greater than or equal to 1 .*given: 0"),
        ({"seed": 2**31}, "seed: .*less than or equal to"),
        ({"temprature": 1}, "temprature: Extra inputs"),
        ({"top_k": 5}, "top_k=5 changes nothing at temperature=0.*set temperature above 0"),
        ({"top_p": 0.5}, "top_p=0.5 changes nothing at temperature=0"),
        ({"samples": 3}, "samples=3 changes nothing at temperature=0"),
    ],
)
def test_settings_that_cannot_be_or_would_do_nothing_are_refused_by_name(values, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make_decoding(values)
    assert "\n" not in str(caught.value)
