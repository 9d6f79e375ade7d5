"""Which fields of a recipe a checkpoint holds to. Imports no JAX."""

from training.bases import is_base
from training.config import TrainConfig


def fixed_fields(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Name the fields that differ and that the state in a checkpoint of ``before`` cannot take up.

    They decide which arrays there are and of what shape, what numbers stand beside adapters, or how texts
    are written that the model has learnt from.
    """
    fixed = ["model", "optimizer", "scan_layers"]
    if is_base(before.model):
        fixed += ["method", "reasoning", "system_prompt"]
    if before.method != "full":
        fixed += ["lora_rank", "lora_targets"]
    if before.method == "qlora":
        fixed.append("quantization")
    found = [name for name in fixed if getattr(before, name) != getattr(now, name)]
    # With 0 there is no average, and one step less in the optimizer's chain.
    found += [
        name for name in ("ema_decay", "clip_norm") if bool(getattr(before, name)) != bool(getattr(now, name))
    ]
    return found
