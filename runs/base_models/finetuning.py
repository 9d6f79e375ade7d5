"""Fine-tune a base model on a dataset: the recipe that fits it, what it needs, and the run.

The defaults that differ from a training from scratch, and why:

- learning rate 2e-4 for adapters, as Hu et al. (arXiv 2106.09685) and Dettmers et al. (arXiv 2305.14314) take
  for models of such sizes, and 1e-5 for all weights, which shall stay near what they were;
- a warm-up of 3 % of the updates, then a cosine down to a tenth of the rate, gradients clipped at 1;
- no weight decay, which would pull weights to zero that others have trained;
- blocks computed again in the backward pass, and as many rows at once as fit: memory is what is short;
- steps between <think> and </think> where the model has a chat template, else as plain lines: without a
  template nothing ever taught it such marks.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction

from datasets_app.selectors import resolve_dataset
from runs import services
from runs.base_models.selectors import find_row
from runs.creating import create_run
from runs.devices import Device, resolve_device
from runs.models import BaseModel, Run
from runs.services import Actor
from runs.states import Kind
from training import bases
from training.config import TrainConfig, make_config
from training.errors import ConfigError
from training.memory_estimate import Estimate, estimate, texts_that_fit
from training.model_config import ModelConfig
from tunix_site.errors import InvalidInputError, UserError

METHODS: Final = ("lora", "qlora", "full")
REASONINGS: Final = ("think", "plain", "reasoning_content")
STEPS: Final = 300
# Where a device does not tell its memory, a usual card is taken.
USUAL_MEMORY: Final = 12 * 2**30
_RATES: Final = {"lora": 2e-4, "qlora": 2e-4, "full": 1e-5}


def base_of(row: BaseModel) -> bases.Base:
    """Read a base model's folder.

    Raises:
        UserError: when it does not lie on this machine or cannot be read.
    """
    try:
        return bases.find_base(row.reference)
    except ConfigError as error:
        raise UserError(str(error)) from error


def default_reasoning(row: BaseModel) -> str:
    """Say how a base model writes steps unless somebody says otherwise."""
    return "think" if row.chat_template_hash else "plain"


def default_fields(
    row: BaseModel, shape: ModelConfig, *, method: str, device: Device | None
) -> dict[str, Any]:
    """Give the fields of a recipe that fine-tunes this model by this method on this device."""
    rate = _RATES[method]
    fields: dict[str, Any] = {
        "model": row.reference,
        "method": method,
        "reasoning": default_reasoning(row),
        "steps": STEPS,
        "sequence_length": 1024,
        "batch_size": 8,
        "micro_batch": "auto",
        "learning_rate": rate,
        "final_learning_rate": rate / 10,
        "warmup_share": 0.03,
        "weight_decay": 0.0,
        "clip_norm": 1.0,
        "remat": "block",
        "eval_every_steps": 100,
        "save_every_steps": 100,
        "final_eval_limit": 500,
    }
    memory = (device and device.memory_bytes) or USUAL_MEMORY
    on_gpu = device is None or device.kind == "gpu"
    fields["eval_batch_size"] = texts_that_fit(shape, make_config(fields), memory, gpu=on_gpu)
    return fields


@dataclass(frozen=True, slots=True)
class Fit:
    """What a recipe needs on a device, and whether the device has as much memory in all."""

    estimate: Estimate
    memory: int | None
    device: str

    @property
    def is_hopeless(self) -> bool:
        """Whether it cannot fit even if the margin, which is a guess, were nothing."""
        return self.memory is not None and self.estimate.total - self.estimate.margin > self.memory

    @property
    def words(self) -> str:
        """Say it in one sentence."""
        need = f"An update needs about {_size(self.estimate.total)}"
        if self.memory is None:
            return f"{need}; how much {self.device} has is not known."
        has = f"{self.device} has {_size(self.memory)}"
        if self.estimate.total <= self.memory:
            return f"{need}, and {has}."
        return f"{need}, and {has}: {'too little' if self.is_hopeless else 'it may be too little'}."


def fit_of(config: TrainConfig, device: Device) -> Fit:
    """Estimate what a recipe needs on a device, with one row at once where that is left open.

    Raises:
        ConfigError: when its model is not here.
    """
    about = estimate(bases.model_shape(config.model), config, gpu=device.kind == "gpu")
    return Fit(about, device.memory_bytes, f"{device.kind}:{device.index}")


def require_room(fit: Fit, config: TrainConfig) -> None:
    """Refuse what cannot fit.

    Raises:
        UserError: naming what needs less.
    """
    if fit.is_hopeless:
        leaner = {"full": "--method lora", "lora": "--method qlora"}.get(config.method)
        changes = [*([leaner] if leaner else []), "a smaller --set sequence_length"]
        raise UserError(
            f"{fit.words}", hint=f"Take {' or '.join(changes)}, or try all the same with --force."
        )


def finetune(
    address: str,
    *,
    dataset: str,
    method: str = "lora",
    steps: int | None = None,
    reasoning: str = "",
    evaluate_base: bool = True,
    device: str | None = None,
    origin: str = "",
    actor: Actor = None,
) -> Run:
    """Queue a run that fine-tunes a base model on a dataset, with the defaults of this module.

    Raises:
        UserError: saying what is missing or wrong: the model, the data, a field, the device or its memory.
    """
    row, data = find_row(address), resolve_dataset(address=dataset)
    if method not in METHODS:
        raise InvalidInputError(f"There is no method {method[:40]!r}; there are {', '.join(METHODS)}.")
    shape = base_of(row).shape
    # Asking what there is may take seconds, and nobody else could write meanwhile.
    place = resolve_device(kind=device, index=None)
    values = default_fields(row, shape, method=method, device=place) | {"evaluate_first": evaluate_base}
    if steps is not None:
        values["steps"] = steps
    if reasoning:
        values["reasoning"] = reasoning
    try:
        config = make_config(values)
        require_room(fit_of(config, place), config)
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error
    with transaction.atomic():
        run = create_run(
            kind=Kind.TRAIN,
            config=config,
            device=place,
            dataset=data,
            total_steps=config.steps,
            name=f"{row.name} on {data.key}",
            origin=origin,
            actor=actor,
        )
        services.enqueue_run(run, actor=actor)
    return run


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
