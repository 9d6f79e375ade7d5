"""Small datasets with faults, for the tests of reports, search and comparison."""

from datasets_app.models import Dataset
from datasets_app.publishing import Draft, Member, member_of, publish
from datasets_app.services import finish
from datasets_app.traces import make_trace


def member(prompt: str, steps: list[str], answer: str, **more) -> Member:
    facts = {"family": "", "source": "test", "licence": "MIT", "meta": {}} | more
    return member_of(make_trace(prompt=prompt, steps=steps, final_answer=answer), **facts)


def published(key: str, members: list[Member]) -> Dataset:
    """Publish members as they are, with their files and words."""
    result = publish(draft=Draft(key=key, recipe={"kind": "test"}), members=lambda: members)
    finish(result)
    return result.dataset
