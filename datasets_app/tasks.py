"""What the queue calls; thin, for its arguments are ids only."""

from datasets_app.builds import run_queued_build
from datasets_app.comparisons import run_comparison as carry_out_comparison
from datasets_app.imports.queue import run_queued_import
from datasets_app.quality.reports import run_report
from datasets_app.search import build_index


def run_build(task_id: int) -> None:
    """Carry out the build of one `BuildTask`."""
    run_queued_build(task_id=task_id)


def run_import(import_id: int) -> None:
    """Carry out one `Import`."""
    run_queued_import(import_id=import_id)


def run_quality_report(report_id: int) -> None:
    """Make one `QualityReport`."""
    run_report(report_id=report_id)


def run_search_index(dataset_id: int) -> None:
    """Make the words of one dataset searchable."""
    build_index(dataset_id=dataset_id)


def run_comparison(comparison_id: int) -> None:
    """Compare two large datasets."""
    carry_out_comparison(comparison_id=comparison_id)
