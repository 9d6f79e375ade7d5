"""Entry points of the queue. They take ids only; all state is in the run's row."""

from runs import supervisor


def supervise(run_id: int, attempt: int) -> str:
    """Carry one attempt of a run to its end."""
    ended = supervisor.supervise(run_id, attempt)
    return f"run {run_id}, attempt {attempt}: {ended or 'nothing to claim'}"
