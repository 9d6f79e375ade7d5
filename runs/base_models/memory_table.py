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
    """What one way needs at one length, in bytes, and whether the card has as much.

    ``is_beyond``: the model was made for shorter texts.
    """

    needs: int
    fits: bool
    is_beyond: bool = False

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
    """The table for one card, and the cards that can be chosen instead.

    ``positions`` is how many places of a text the model was made for, where that is known.
    """

    card: Card
    cards: list[Card]
    rows: list[Row]
    lengths: Sequence[int] = LENGTHS
    positions: int | None = None

    @property
    def has_beyond(self) -> bool:
        """Whether any length is more than the model was made for."""
        return any(cell.is_beyond for row in self.rows for cell in row.cells)


def table_for(shape: ModelConfig, card: str = "", *, positions: int | None = None) -> MemoryTable:
    """Estimate every way at every length, one row at once and each block computed again, for a card.

    ``card`` is the key of one of the cards; anything else means the usual one.
    """
    cards = known_cards()
    by_key = {one.key: one for one in cards}
    chosen = by_key.get(card, by_key[str(USUAL)])
    rows = [_row(shape, way, chosen.memory, positions) for way in WAYS]
    return MemoryTable(chosen, cards, rows, positions=positions)


def known_cards() -> list[Card]:
    """List the usual sizes, and before them the largest GPU of this machine where there is one."""
    # A GPU that does not tell its memory is of no use here.
    own = [
        Card(one.memory_bytes, one.name or "GPU of this machine", True) for one in gpus() if one.memory_bytes
    ]
    here = sorted(own, key=lambda one: one.memory, reverse=True)[:1]
    return [*here, *(Card(size * GIB, f"{size} GB") for size in CARDS)]


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


def _row(shape: ModelConfig, way: Way, memory: int, positions: int | None) -> Row:
    needs = {length: estimate(shape, recipe(way, length)).total for length in LENGTHS}
    made_for = LENGTHS[-1] if positions is None else positions
    return Row(way, [Cell(need, need <= memory, length > made_for) for length, need in needs.items()])
