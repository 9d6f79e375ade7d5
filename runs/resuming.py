"""Find out what ``--resume-from`` names: the newest interrupted run, a run, or a checkpoint folder."""

from dataclasses import dataclass
from pathlib import Path

from datasets_app.models import Dataset
from runs.models import Run
from runs.selectors import get_run, newest_interrupted_run, run_of_checkpoint_path
from runs.states import INTERRUPTED, Kind
from training import checkpoints
from training.config import TrainConfig, make_config
from training.errors import CheckpointError, ConfigError
from tunix_site.errors import ConflictError, NotFoundError, UserError


@dataclass(frozen=True, slots=True)
class ResumePlan:
    """What a resume goes on with.

    ``continues``: the run itself can be taken up. ``named_path``: the checkpoint that the
    user named, empty for the newest.
    """

    run: Run | None
    continues: bool
    named_path: str = ""
    step_dir: Path | None = None
    step: int | None = None
    config: TrainConfig | None = None
    dataset: Dataset | None = None

    @property
    def named_by_path(self) -> bool:
        """Whether the user named a checkpoint folder."""
        return bool(self.named_path)


def plan_resume(text: str, *, dataset: str | None) -> ResumePlan:
    """Read ``latest``, a run's number, or the path of a checkpoint or of a run's checkpoints.

    Raises:
        UserError: where nothing fits, saying what would.
    """
    if text == "latest":
        return ResumePlan(newest_interrupted_run(dataset_key=dataset), continues=True)
    if text.isdecimal() and not Path(text).is_dir():
        return _plan_run(get_run(run_id=text), dataset)
    return _plan_path(Path(text))


def _plan_run(run: Run, dataset: str | None) -> ResumePlan:
    if run.kind != Kind.TRAIN or run.status not in INTERRUPTED:
        raise ConflictError(
            f"Run {run.pk} is {run.status}; only a training that was stopped, failed or lost can be resumed.",
            hint="To go on from a completed run's checkpoint, give the checkpoint's folder.",
        )
    if dataset and run.dataset and run.dataset.key != dataset.partition("@")[0]:
        raise ConflictError(
            f"Run {run.pk} trains on {run.dataset.key}, not on {dataset}.", hint="Drop --dataset."
        )
    return ResumePlan(run, continues=True)


def _plan_path(path: Path) -> ResumePlan:
    if not path.is_dir():
        raise NotFoundError(
            f"--resume-from {str(path)!r}: there is no such folder.",
            hint="Write latest, a run's number, or a checkpoint's folder (artifacts/checkpoints/RUN/STEP).",
        )
    folder = path.resolve()
    try:
        step_dir = (
            folder
            if folder.name.isdecimal() and _has_metadata(folder)
            else checkpoints.newest_sound_step_dir(folder)
        )
        if step_dir is None:
            raise NotFoundError(f"{path} holds no complete checkpoint.")
        metadata = checkpoints.read_metadata(step_dir)
        config = make_config(metadata["config"])
    except (CheckpointError, ConfigError, KeyError) as error:
        raise UserError(f"The checkpoint in {path} cannot be used: {error}") from error
    run = run_of_checkpoint_path(step_dir=step_dir)
    given_hash = metadata.get("content_hash", "")
    dataset = Dataset.objects.filter(content_hash=given_hash).order_by("-id").first()
    return ResumePlan(
        run,
        continues=run is not None and run.status in INTERRUPTED,
        named_path=str(step_dir),
        step_dir=step_dir,
        step=int(metadata["step"]),
        config=config,
        dataset=dataset,
    )


def _has_metadata(folder: Path) -> bool:
    try:
        checkpoints.read_metadata(folder)
    except CheckpointError:
        return False
    return True
