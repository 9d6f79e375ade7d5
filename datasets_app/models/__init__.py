"""Tables of the datasets app: traces, datasets, and the tasks that make them."""

from datasets_app.models.content import (
    HASH_LENGTH,
    SHORT_HASH,
    BuildTask,
    Dataset,
    DatasetTrace,
    Provenance,
    Split,
    Trace,
    TraceSource,
)

__all__ = [
    "HASH_LENGTH",
    "SHORT_HASH",
    "BuildTask",
    "Dataset",
    "DatasetTrace",
    "Provenance",
    "Split",
    "Trace",
    "TraceSource",
]
