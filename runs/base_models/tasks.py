"""What the queue calls; thin, for its arguments are ids only."""

from runs.base_models.queue import run_queued_import


def run_import(import_id: int) -> None:
    """Carry out a turn of one `ModelImport`."""
    run_queued_import(import_id)
