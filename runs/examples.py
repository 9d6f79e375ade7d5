"""The traces that a child works on, as plain data for training."""

from datasets_app.generators import generator_for
from datasets_app.models import Dataset
from datasets_app.selectors import member_traces
from datasets_app.traces import trace_hash
from training.examples import TraceExample

SYNTHETIC_KEY, SYNTHETIC_COUNT = "chain-v1", 2048


def load_examples(dataset: Dataset, split: str) -> list[TraceExample]:
    """Read one split of a dataset, in order, as plain data for training."""
    return [
        TraceExample(
            trace_id=trace.content_hash,
            prompt=trace.prompt,
            steps=tuple(trace.steps),
            final_answer=trace.final_answer,
            family=trace.family,
        )
        for trace in member_traces(dataset=dataset, split=split)
    ]


def synthetic_examples() -> list[TraceExample]:
    """Generate the traces for a benchmark that names no dataset: always the same ones."""
    drawn = generator_for(SYNTHETIC_KEY).generate(count=SYNTHETIC_COUNT, seed=0)
    return [
        TraceExample(
            trace_id=trace_hash(trace.record.prompt, trace.record.steps, trace.record.final_answer),
            prompt=trace.record.prompt,
            steps=tuple(step.content for step in trace.record.steps),
            final_answer=trace.record.final_answer,
            family=trace.family,
        )
        for trace in drawn
    ]
