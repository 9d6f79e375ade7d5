"""As what a recipe's model can be written down. Imports no JAX."""

from typing import Final, Literal

from training.bases import find_base, is_base
from training.config import TrainConfig
from training.errors import ExportError
from training.hf.scratch import llama_config
from training.model_config import preset

# The whole model, or the adapter that was trained beside its base.
Format = Literal["hf", "adapter"]
# Above this, weights are written to several files.
MAX_SHARD_BYTES: Final = 5_000_000_000


def require_possible(config: TrainConfig, format: Format) -> None:
    """Refuse what a recipe cannot be exported as.

    Raises:
        ExportError: saying what the model is and which format it has.
        ConfigError: for a base model that is not here.
    """
    if format == "adapter" and config.method == "full":
        what = "all weights of its base" if is_base(config.model) else "a model from scratch"
        raise ExportError(f"This run trained {what}, so it has no adapter: export it with --format hf.")
    if is_base(config.model):
        find_base(config.model)
    else:
        llama_config(preset(config.model), context_length=config.sequence_length)
