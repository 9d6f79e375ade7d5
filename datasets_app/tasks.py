"""What the queue calls; thin, for its arguments are ids only."""

from datasets_app.builds import run_queued_build


def run_build(task_id: int) -> None:
    """Carry out the build of one `BuildTask`."""
    run_queued_build(task_id=task_id)
