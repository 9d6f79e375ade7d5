"""The datasets that can be generated, each by its key."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datasets_app.generators.addition import Addition
from datasets_app.generators.addition_forms import PlainAddition, ReversedAddition, ScratchpadAddition
from datasets_app.generators.chain import Chain
from datasets_app.generators.cups import Cups
from datasets_app.generators.difficulty import LongChain, ManyCups, ShortChain
from datasets_app.generators.family import Family
from datasets_app.generators.golden import HAND_WRITTEN
from datasets_app.generators.sorting import Sorting
from datasets_app.generators.word_problems import WordProblems
from datasets_app.traces import SPLIT_RULE, TraceRecord, normalise_prompt
from tunix_site.errors import InvalidInputError

MAX_COUNT = 1_000_000
MAX_SEED = 2**31 - 1
_MAX_TRIES = 200_000


@dataclass(frozen=True, slots=True)
class GeneratedTrace:
    """A trace fresh from its generator, with the family whose checker judges its steps."""

    record: TraceRecord
    family: str


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """A dataset that can be made from a count and a seed.

    Trace ``index`` comes from family ``index mod number of families``, so that the families stay
    balanced and a smaller count is always the beginning of a larger one.
    """

    key: str
    version: int
    default_count: int
    summary: str
    families: tuple[Family[Any, Any], ...] = ()
    written: tuple[TraceRecord, ...] = ()
    licence: str = field(default="Apache-2.0")

    @property
    def source(self) -> str:
        """Where the traces come from, for manifest and card."""
        how = "generated" if self.families else "written by hand"
        return f"tunix_site, {how}: {self.key} version {self.version}"

    @property
    def capacity(self) -> int:
        """The largest count there can be (distinct prompts in every family)."""
        if not self.families:
            return len(self.written)
        size = len(self.families)
        # Family f of n serves the indices f, f + n, …: with capacity c it is used up at index f + n·c.
        return min(place + size * family.capacity for place, family in enumerate(self.families))

    def recipe(self, *, count: int, seed: int) -> dict[str, Any]:
        """Describe everything that decides the content."""
        return {
            "kind": "generated",
            "generator": self.key,
            "generator_version": self.version,
            "count": count,
            "seed": seed if self.families else 0,
            "families": {
                family.name: {"version": family.version, **family.parameters} for family in self.families
            },
            "split": SPLIT_RULE,
        }

    def check_request(self, *, count: int, seed: int) -> None:
        """Refuse a count or a seed that cannot be served.

        Raises:
            InvalidInputError: naming the value and the bounds.
        """
        if count < 1:
            raise InvalidInputError(f"count is {count}; a dataset has at least 1 trace.")
        if not 0 <= seed <= MAX_SEED:
            raise InvalidInputError(f"seed is {seed}; it must be from 0 to {MAX_SEED}.")
        if count > self.capacity:
            raise InvalidInputError(
                f"count is {count}, but {self.key} has only {self.capacity} distinct prompts.",
                hint=f"Ask for at most {min(self.capacity, MAX_COUNT)}.",
            )
        if count > MAX_COUNT:
            raise InvalidInputError(f"count is {count}; at most {MAX_COUNT} traces can be generated.")

    def generate(self, *, count: int, seed: int) -> Iterator[GeneratedTrace]:
        """Make the traces in index order, all with distinct prompts.

        Raises:
            InvalidInputError: see `check_request`; or if no new prompt turns up.
        """
        self.check_request(count=count, seed=seed)
        if not self.families:
            yield from (GeneratedTrace(record, family="") for record in self.written[:count])
            return
        seen: set[str] = set()
        for index in range(count):
            family = self.families[index % len(self.families)]
            prompt = self._fresh_prompt(family, seed=seed, index=index, seen=seen)
            yield GeneratedTrace(family.solve(prompt), family=family.name)

    def _fresh_prompt(self, family: Family[Any, Any], *, seed: int, index: int, seen: set[str]) -> str:
        for attempt in range(_MAX_TRIES):
            prompt = family.prompt_for(seed=seed, index=index // len(self.families), attempt=attempt)
            known = normalise_prompt(prompt)
            if known and known not in seen:
                seen.add(known)
                return prompt
        raise InvalidInputError(
            f"{self.key}: family {family.name} gave no new prompt after {len(seen)} traces "
            f"and {_MAX_TRIES} tries."
        )


GENERATORS: dict[str, GeneratorSpec] = {
    spec.key: spec
    for spec in (
        GeneratorSpec(
            key="golden-v1",
            version=1,
            default_count=len(HAND_WRITTEN),
            summary="five traces written by hand, to look at and to try things out",
            written=HAND_WRITTEN,
        ),
        GeneratorSpec(
            key="golden-v2",
            version=1,
            default_count=100,
            summary="a balanced mixture of five families; every step carries the state and can be checked",
            families=(Chain(), Cups(), Addition(), Sorting(), WordProblems()),
        ),
        GeneratorSpec(
            key="chain-v1",
            version=1,
            default_count=5600,
            summary="eight operations modulo 10 on one digit: learned with traces, not learned without",
            families=(Chain(),),
        ),
        GeneratorSpec(
            key="chain-short-v1",
            version=1,
            default_count=5600,
            summary="four operations modulo 10 on one digit: the easy chain",
            families=(ShortChain(),),
        ),
        GeneratorSpec(
            key="chain-long-v1",
            version=1,
            default_count=5600,
            summary="sixteen operations modulo 10 on one digit: the hard chain",
            families=(LongChain(),),
        ),
        GeneratorSpec(
            key="cups-v1",
            version=1,
            default_count=5600,
            summary="five cups, eight swaps: where is the ball?",
            families=(Cups(),),
        ),
        GeneratorSpec(
            key="cups-many-v1",
            version=1,
            default_count=5600,
            summary="seven cups, twelve swaps: the hard cups",
            families=(ManyCups(),),
        ),
        GeneratorSpec(
            key="addition-plain-v1",
            version=1,
            default_count=5000,
            summary="numbers below 1,000 added with no steps; the same problems as in the other two forms",
            families=(PlainAddition(),),
        ),
        GeneratorSpec(
            key="addition-reversed-v1",
            version=1,
            default_count=5000,
            summary="the same additions, the digits of the sum written from the last to the first",
            families=(ReversedAddition(),),
        ),
        GeneratorSpec(
            key="addition-scratchpad-v1",
            version=1,
            default_count=5000,
            summary="the same additions with a simplified scratchpad: digit and carry of each column",
            families=(ScratchpadAddition(),),
        ),
        GeneratorSpec(
            key="sorting-v1",
            version=1,
            default_count=5600,
            summary="four to six numbers below 100, sorted by selection",
            families=(Sorting(),),
        ),
        GeneratorSpec(
            key="word-problems-v1",
            version=1,
            default_count=5600,
            summary="four kinds of short stories about amounts with units",
            families=(WordProblems(),),
        ),
    )
}


def generator_for(key: str) -> GeneratorSpec:
    """Find a generator by its dataset key.

    Raises:
        InvalidInputError: listing the keys there are.
    """
    spec = GENERATORS.get(key)
    if spec is None:
        raise InvalidInputError(
            f"There is no generator for dataset {key!r}.",
            hint=f"Generated datasets: {', '.join(GENERATORS)}.",
        )
    return spec
