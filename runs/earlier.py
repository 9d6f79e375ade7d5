"""What lies at a run's places from a run or an attempt that this database knows nothing of.

Numbers begin anew with an empty database, and go back with a restored one; the files under them stay.
They are kept under another name, for they belong to somebody, and no run goes on from them.
"""

import itertools
from pathlib import Path

from runs.journal import JOURNAL_NAME
from runs.models import Attempt, Run
from training.checkpoints import step_dirs
from training.ownership import OWNER_NAME


def set_earlier_aside(attempt: Attempt) -> None:
    """Clear the places of an attempt that is about to start for the first time.

    Raises:
        OSError: where something cannot be renamed.
    """
    run = attempt.run
    directory, root = run.attempt_directory(attempt.number), Path(run.checkpoint_dir)
    if (directory / JOURNAL_NAME).exists():
        _rename(directory)
    # Its own later attempts do go on from what lies there.
    if attempt.number == 1 and run.checkpoint_dir and (step_dirs(root) or (root / OWNER_NAME).exists()):
        _follow(root, _rename(root))
        run.refresh_from_db(fields=["resume_path"])


def _rename(place: Path) -> Path:
    for number in itertools.count(1):
        aside = place.with_name(f"{place.name}.earlier-{number}")
        if not aside.exists():
            return place.rename(aside)
    raise AssertionError("unreachable")


def _follow(before: Path, now: Path) -> None:
    """Tell the runs that start from one of the renamed checkpoints where it lies now."""
    for pk, start in Run.objects.filter(resume_path__startswith=f"{before}/").values_list(
        "pk", "resume_path"
    ):
        Run.objects.filter(pk=pk).update(resume_path=str(now / Path(start).relative_to(before)))
