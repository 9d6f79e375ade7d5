"""The native trace, lossless: everything about its place in the dataset too."""

from typing import Any

from datasets_app.selectors import MemberTrace
from datasets_app.traces import TRACE_VERSION


def write(member: MemberTrace) -> dict[str, Any]:
    """Write the trace with split, family, source, licence and its hash."""
    return {
        "trace_version": TRACE_VERSION,
        "prompt": member.prompt,
        "steps": [{"i": step.i, "type": step.type, "content": step.content} for step in member.step_records],
        "final_answer": member.final_answer,
        "meta": member.meta,
        "split": member.split,
        "family": member.family,
        "source": member.source,
        "licence": member.licence,
        "content_hash": member.content_hash,
    }
