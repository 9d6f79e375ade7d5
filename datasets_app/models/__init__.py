"""Tables of the datasets app: traces, datasets, and the tasks that make them."""

from datasets_app.models.comparison import StoredComparison
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
from datasets_app.models.imports import Import
from datasets_app.models.quality import QualityReport
from datasets_app.models.search import DatasetFacts, SearchIndex

__all__ = [
    "HASH_LENGTH",
    "SHORT_HASH",
    "BuildTask",
    "Dataset",
    "DatasetFacts",
    "DatasetTrace",
    "Import",
    "Provenance",
    "QualityReport",
    "SearchIndex",
    "Split",
    "StoredComparison",
    "Trace",
    "TraceSource",
]
