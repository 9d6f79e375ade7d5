"""The table of what fits: which card, which way, which length, and that it can be read without colour."""

import pytest
from django.template.loader import render_to_string

from runs.base_models import memory_table
from runs.base_models.memory_table import CARDS, GIB, LENGTHS, recipe, table_for
from runs.devices import Device
from training.hf.families import model_config_from_hf
from training.hf.tests.published import PUBLISHED
from training.memory_estimate import estimate
from tunix_site.tests.pages import inline_code

QWEN3 = model_config_from_hf(PUBLISHED["Qwen3-0.6B"][1])


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(memory_table, "gpus", list)


def longest(table):
    return {row.way.label: row.longest for row in table.rows}


def test_the_usual_card_has_12_gb():
    table = table_for(QWEN3)
    assert table.card.memory == 12 * GIB
    assert [card.key for card in table.cards] == [str(size) for size in CARDS]
    assert longest(table) == dict.fromkeys(("Full", "Full, Adafactor", "LoRA", "QLoRA"), 8192)


@pytest.mark.parametrize(
    ("card", "full", "lora"), [("8", 0, 8192), ("16", 8192, 8192), ("no card", 8192, 8192)]
)
def test_a_smaller_card_takes_less(card, full, lora):
    found = longest(table_for(QWEN3, card))
    assert (found["Full"], found["LoRA"]) == (full, lora)


def test_a_cell_is_the_estimate_of_one_row_at_that_length():
    table = table_for(QWEN3)
    for row in table.rows:
        for length, cell in zip(LENGTHS, row.cells, strict=True):
            config = recipe(row.way, length)
            assert (config.batch_size, config.remat, config.sequence_length) == (1, "block", length)
            assert cell.needs == estimate(QWEN3, config).total


def test_lengths_beyond_what_the_model_was_made_for_are_marked():
    table = table_for(QWEN3, positions=2048)
    for row in table.rows:
        assert [cell.is_beyond for cell in row.cells] == [length > 2048 for length in LENGTHS]
    text = render_to_string("runs/base_models/_memory.html", {"memory": table})
    assert text.count("longer than the model was made for</span>") == 2 * len(table.rows)
    assert "† longer than the 2048 positions that this model was made for" in text
    for unmarked in (table_for(QWEN3), table_for(QWEN3, positions=8192)):
        assert not unmarked.has_beyond
        assert "†" not in render_to_string("runs/base_models/_memory.html", {"memory": unmarked})


def test_the_gpu_of_this_machine_stands_first(monkeypatch):
    cards = [Device("gpu", 0, name="small", memory_bytes=4 * GIB), Device("gpu", 1, "u", "big", 141 * GIB)]
    monkeypatch.setattr(memory_table, "gpus", lambda: cards)
    table = table_for(QWEN3, "here")
    assert (table.card.label, table.card.memory, table.cards[0].key) == ("big", 141 * GIB, "here")
    # The usual card stays the one that is shown unless somebody chooses.
    assert table_for(QWEN3).card.memory == 12 * GIB
    monkeypatch.setattr(memory_table, "gpus", lambda: [Device("gpu", 0, name="silent")])
    assert len(table_for(QWEN3).cards) == len(CARDS)


def test_the_table_says_in_words_what_fits_and_that_it_is_an_estimate():
    text = render_to_string("runs/base_models/_memory.html", {"memory": table_for(QWEN3, "8")})
    assert inline_code(text) == []
    assert text.count("does not fit</span>") == len(LENGTHS)
    assert "An estimate" in text
    assert "was not measured on a GPU" in text
    assert '<a class="button" href="?card=8#memory" aria-current="true">8 GB</a>' in text
