"""Which ways of training a base model fit into which GPU at which length: a table of estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runs.devices import gpus
from training.config import TrainConfig
from training.memory_estimate import estimate
from training.model_config import ModelConfig

GIB: Final = 2**30
# Memory of usual cards in GiB, which their makers call GB.
CARDS: Final = (8, 12, 16, 24, 80)
USUAL: Final = 12
LENGTHS: Final = (512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of training: what people call it, what it is for, and the fields that make it."""

    label: str
    about: str
    fields: dict[str, Any]


WAYS: Final = (
    Way("Full", "all weights, AdamW", {"method": "full"}),
    Way("Full, Adafactor", "all weights, a lean optimizer", {"method": "full", "optimizer": "adafactor"}),
    Way("LoRA", "adapters beside bf16 weights", {"method": "lora"}),
    Way("QLoRA", "adapters beside nf4 weights", {"method": "qlora"}),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one way needs at one length, in bytes, and whether the card has as much."""

    needs: int
    fits: bool

    @property
    def gib(self) -> str:
        """The need in GiB with one digit."""
        return f"{self.needs / GIB:.1f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One way at every length."""

    way: Way
    cells: list[Cell]

    @property
    def longest(self) -> int:
        """The longest of the lengths that fits; 0 where none does."""
        return max((size for size, cell in zip(LENGTHS, self.cells, strict=True) if cell.fits), default=0)


@dataclass(frozen=True, slots=True)
class Card:
    """A size of card to choose: bytes, its name, and whether it stands in this machine."""

    memory: int
    label: str
    here: bool = False

    @property
    def key(self) -> str:
        """How addresses name it."""
        return "here" if self.here else str(self.memory // GIB)


@dataclass(frozen=True, slots=True)
class MemoryTable:
    """The table for one card, and the cards that can be chosen instead."""

    card: Card
    cards: list[Card]
    rows: list[Row]
    lengths: Sequence[int] = LENGTHS


def table_for(shape: ModelConfig, card: str = "") -> MemoryTable:
    """Estimate every way at every length, one row at once and each block computed again, for a card.

    ``card`` is the key of one of the cards; anything else means the usual one.
    """
    cards = known_cards()
    by_key = {one.key: one for one in cards}
    chosen = by_key.get(card, by_key[str(USUAL)])
    return MemoryTable(chosen, cards, [_row(shape, way, chosen.memory) for way in WAYS])


def known_cards() -> list[Card]:
    """List the usual sizes, and before them the largest GPU of this machine where there is one."""
    here = max(gpus(), key=lambda one: one.memory_bytes or 0, default=None)
    own = [Card(here.memory_bytes, here.name or "this machine's GPU", here=True)] if _known(here) else []
    return [*own, *(Card(size * GIB, f"{size} GB") for size in CARDS)]


def recipe(way: Way, length: int) -> TrainConfig:
    """Give the recipe that a cell is about."""
    # The name is only there because adapters want a base model to be named.
    return TrainConfig(
        model="base@" + "0" * 12,
        batch_size=1,
        sequence_length=length,
        remat="block",
        precision="bf16",
        **way.fields,
    )


def _row(shape: ModelConfig, way: Way, memory: int) -> Row:
    needs = [estimate(shape, recipe(way, length)).total for length in LENGTHS]
    return Row(way, [Cell(one, one <= memory) for one in needs])


def _known(device: Any) -> bool:
    return device is not None and bool(device.memory_bytes)
