"""REST route of two evaluations on the same prompts."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from runs.evaluation_pairs.changes import Pair, Show, Side, in_full, pair_up
from runs.evaluation_pairs.choosing import find_pair, notes_on, read_ids, require_comparable
from tunix_site.auth import READ
from tunix_site.errors import InvalidInputError
from tunix_site.schemas import ERRORS, Offset

pairs_router = Router(tags=["training"])


class SideOut(Schema):
    """What one evaluation wrote to a prompt."""

    right: bool = Field(description="the verdict that counts: of several texts the commonest answer's")
    rule: str
    answer: str | None
    text: str
    steps: list[str]
    steps_valid: list[bool | None]
    first_wrong_step: int | None

    @classmethod
    def of(cls, side: Side) -> "SideOut":
        """Describe a side."""
        sample = side.sample
        return cls(
            right=side.right,
            text=sample.generated_text,
            steps=sample.generated_steps,
            **{name: getattr(sample, name) for name in ("rule", "answer", "steps_valid", "first_wrong_step")},
        )


class PairOut(Schema):
    """One prompt with what both wrote to it."""

    trace_hash: str
    prompt: str
    expected: str
    a: SideOut
    b: SideOut

    @classmethod
    def of(cls, pair: Pair) -> "PairOut":
        """Describe a pair."""
        return cls(
            trace_hash=pair.trace_hash,
            prompt=pair.prompt,
            expected=pair.expected,
            a=SideOut.of(pair.a),
            b=SideOut.of(pair.b),
        )


class PairingOut(Schema):
    """McNemar's exact test of two evaluations on the prompts that both hold."""

    a: int
    b: int
    n: int = Field(description="prompts that both hold")
    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p_value: float = Field(description="two-sided, exact by the binomial distribution")
    words: str
    only_in_a: int = Field(description="prompts that a alone holds; left out")
    only_in_b: int
    notes: list[str]
    show: str
    count: int = Field(description="prompts of this choice")
    pairs: list[PairOut]


@pairs_router.get(
    "evaluation-pairs", response={200: PairingOut, **ERRORS}, auth=READ, summary="Two evaluations compared"
)
def compare_evaluations(
    request: HttpRequest,
    ids: Annotated[str, Query(min_length=3, max_length=60, description="two numbers of evaluations: 1,2")],
    show: Annotated[Show, Query(description="which prompts come in full")] = "changed",
    limit: Annotated[int, Query(ge=0, le=200, description="prompts in full")] = 20,
    offset: Offset = 0,
) -> PairingOut:
    """Compare two evaluations of the same dataset content, split and grader; 409 names what differs."""
    numbers = read_ids({"ids": ids})
    if not numbers:
        raise InvalidInputError("ids names no evaluation.", hint="Write ids=1,2.")
    a, b = find_pair(numbers)
    require_comparable(a, b)
    pairing = pair_up(a, b)
    counts, chosen = pairing.counts, pairing.prompts(show)
    return PairingOut(
        a=a.pk,
        b=b.pk,
        n=counts.n,
        both_right=counts.both_right,
        only_a_right=counts.only_baseline,
        only_b_right=counts.only_other,
        both_wrong=counts.both_wrong,
        p_value=counts.p_value,
        words=pairing.words,
        only_in_a=pairing.only_a,
        only_in_b=pairing.only_b,
        notes=notes_on(a, b),
        show=show,
        count=len(chosen),
        pairs=[PairOut.of(pair) for pair in in_full(a, b, pairing, chosen[offset : offset + limit])],
    )
