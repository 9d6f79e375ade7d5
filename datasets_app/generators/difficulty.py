"""Families at another difficulty. Each has a name of its own, so that its checker is found by it."""

from datasets_app.generators.chain import Chain
from datasets_app.generators.cups import Cups


class ShortChain(Chain):
    """Half as many operations: learned in a fraction of the time."""

    name = "chain_short"
    summary = "four operations on one digit, modulo 10; each step writes the running digit"

    def __init__(self, operations: int = 4) -> None:
        super().__init__(operations)


class LongChain(Chain):
    """Twice as many operations: a longer state to carry."""

    name = "chain_long"
    summary = "sixteen operations on one digit, modulo 10; each step writes the running digit"

    def __init__(self, operations: int = 16) -> None:
        super().__init__(operations)


class ManyCups(Cups):
    """More cups and more swaps."""

    name = "cups_many"
    summary = "a ball under one of seven cups, twelve swaps; each step writes where the ball is"

    def __init__(self, cups: int = 7, swaps: int = 12) -> None:
        super().__init__(cups, swaps)
