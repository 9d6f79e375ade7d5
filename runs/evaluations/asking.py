"""Ask for an evaluation: checkpoint, traces, how texts are drawn, who grades; checked before it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from datasets_app.graders import default_grader
from datasets_app.models import Dataset
from datasets_app.selectors import resolve_dataset
from runs.creating import create_run
from runs.devices import Device
from runs.forking import device_of
from runs.models import Evaluation, Run
from runs.selectors import find_checkpoint
from runs.services import Actor, audit
from runs.states import Kind
from training.config import MAX_INT, TrainConfig
from training.decoding import Decoding, make_decoding
from training.errors import ConfigError
from training.grading import DEFAULT, find_grader
from tunix_site.errors import ConflictError, InvalidInputError, NotFoundError

SPLITS: Final = ("test", "train")
DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 1_000_000
# So many texts are held in memory, stored and hashed at once.
MAX_TEXTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be graded and how; what is left empty is as the run itself has it.

    ``decoding`` holds the settings of `training.decoding` that differ from greedy; ``subset_seed`` chooses
    the prompts where there are more than ``limit``, as evaluations during training do by the run's seed.
    """

    checkpoint: str = "latest"
    dataset: str = ""
    split: str = "test"
    limit: int = DEFAULT_LIMIT
    grader: str = ""
    subset_seed: int | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)


WANTED_FIELDS: Final = tuple(one.name for one in fields(Wanted))


def make_evaluation(
    source: Run,
    wanted: Wanted,
    *,
    choose_device: Callable[[], Device] | None = None,
    origin: str = "",
    actor: Actor = None,
) -> Run:
    """Write the draft of a run that grades one of the checkpoints of ``source``.

    The device is chosen last, for looking takes time and what is wrong elsewhere needs no device to tell;
    by default it is of the kind that the model was trained on.

    Raises:
        ConflictError: when ``source`` is no training.
        InvalidInputError: for a value that is not allowed, naming it and what is.
        NotFoundError: when there is no such checkpoint or dataset.
    """
    if source.kind != Kind.TRAIN:
        raise ConflictError(
            f"Run {source.pk} ({source.get_kind_display()}) has no model of its own to grade.",
            hint="Name the training whose checkpoint it used."
            if source.parent_id is None
            else f"It used the model of run {source.parent_id}.",
        )
    config = TrainConfig.model_validate(source.config)
    settings = check_settings(wanted.grader or DEFAULT, wanted.decoding)
    checkpoint = find_checkpoint(run=source, which=wanted.checkpoint)
    dataset = _dataset(source, wanted.dataset)
    grader = wanted.grader or grader_of(config, dataset)
    prompts = _prompts(dataset, wanted, draws=settings.samples)
    run = create_run(
        kind=Kind.EVALUATE,
        config=config,
        device=choose_device() if choose_device else device_of(source),
        dataset=dataset,
        total_steps=prompts,
        params={
            "step_dir": checkpoint.path,
            "step": checkpoint.step,
            "split": wanted.split,
            "limit": wanted.limit,
            "grader": grader,
            "subset_seed": config.seed if wanted.subset_seed is None else wanted.subset_seed,
            "decoding": dict(wanted.decoding),
        },
        parent=source,
        parent_step=checkpoint.step,
        origin=origin,
        actor=actor,
    )
    audit(source, "evaluation_asked", actor, made=run.pk, step=checkpoint.step)
    return run


def grader_of(config: TrainConfig, dataset: Dataset | None) -> str:
    """Name the grader that a recipe asks for; where it leaves that to the data, the dataset's."""
    if config.grader != DEFAULT or dataset is None:
        return config.grader
    return default_grader(dataset) or DEFAULT


def check_settings(grader: str, decoding: Mapping[str, Any]) -> Decoding:
    """Check what can be said without a run: the grader, and that the settings of generation go together.

    Raises:
        InvalidInputError: naming the value that is wrong and what is allowed.
    """
    try:
        find_grader(grader)
        return make_decoding(decoding)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error


def _dataset(source: Run, address: str) -> Dataset:
    dataset = resolve_dataset(address=address) if address else source.dataset
    if dataset is None:
        raise InvalidInputError(
            f"Run {source.pk} has no dataset of its own.", hint="Name one: --dataset KEY."
        )
    return dataset


def _prompts(dataset: Dataset, wanted: Wanted, *, draws: int) -> int:
    """Count the prompts that will be graded."""
    if wanted.split not in SPLITS:
        raise InvalidInputError(f"split {wanted.split[:40]!r}: there are {' and '.join(SPLITS)}.")
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise InvalidInputError(f"limit {wanted.limit}: take 1 to {MAX_LIMIT} prompts.")
    if wanted.subset_seed is not None and not 0 <= wanted.subset_seed <= MAX_INT:
        raise InvalidInputError(f"subset_seed {wanted.subset_seed}: take 0 to {MAX_INT}.")
    there = dataset.test_count if wanted.split == "test" else dataset.train_count
    if not there:
        other = "train" if wanted.split == "test" else "test"
        raise InvalidInputError(
            f"{dataset.address} has no traces in its split {wanted.split}.",
            hint=f"Name the other one: --split {other}, or another dataset.",
        )
    prompts = min(wanted.limit, there)
    if prompts * draws > MAX_TEXTS:
        raise InvalidInputError(
            f"{prompts} prompts with {draws} texts each are {prompts * draws:,} texts; "
            f"at most {MAX_TEXTS:,} are graded at once.",
            hint="Take a smaller limit, or fewer samples.",
        )
    return prompts


def newest_wanted(source: Run, given: Mapping[str, Any]) -> Wanted:
    """Give the settings of the newest evaluation that was asked for of a run, with those given instead.

    Of ``decoding`` only the settings that are given change.

    Raises:
        NotFoundError: when none was asked for yet.
    """
    row = (
        Evaluation.objects.filter(run=source, superseded=False)
        .exclude(made_by=source)
        .select_related("dataset", "made_by")
        .order_by("-pk")
        .first()
    )
    if row is None:
        raise NotFoundError(
            f"No evaluation of run {source.pk} was asked for yet, so none can be repeated.",
            hint=f"Ask for the first: manage.py evaluate {source.pk}",
        )
    params = row.made_by.params
    before = Wanted(
        checkpoint=str(row.step),
        dataset=row.dataset.address if row.dataset else "",
        split=row.split,
        limit=params.get("limit", row.n),
        grader=params.get("grader", ""),
        subset_seed=params.get("subset_seed"),
        decoding=params.get("decoding", {}),
    )
    decoding = {**before.decoding, **given.get("decoding", {})}
    return replace(before, **{**given, "decoding": decoding})
