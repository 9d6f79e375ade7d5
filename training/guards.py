"""What recipe and data together would train to no use: refused, or warned about, with numbers.

Needs numpy, no JAX.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training.bases import find_base, is_base
from training.config import TrainConfig
from training.errors import ConfigError
from training.examples import TraceExample
from training.rows import AnyRows
from training.text_form import text_form

_NAMED: Final = 5

# (warn above, refuse above) for the peak learning rate. An update of adamw, lion or muon has a size
# of about one in every number whatever the gradient's, so the rate is the change of a weight;
# weights begin at a few hundredths. Published recipes lie at 1e-5 to 6e-3 for adamw and a few
# times less for lion (Chen et al., arXiv 2302.06675). Adafactor scales by the size of the weight
# (Shazeer and Stern, arXiv 1804.04235: 1e-2), muon's by an orthogonal matrix (2e-2 are common).
# SGD follows the size of the gradient, so a rate of 1 can be right.
_RATES: Final[dict[str, tuple[float, float]]] = {
    "adamw": (0.02, 0.5),
    "lion": (0.003, 0.1),
    "adafactor": (0.1, 1.0),
    "muon": (0.1, 1.0),
    "sgd": (2.0, 10.0),
}
# Below this a run of any usual length cannot move the weights: fine-tuning goes down to 1e-6.
_SMALLEST_RATE: Final = 1e-7
_MANY_EPOCHS: Final = 200


def check(
    config: TrainConfig,
    rows: AnyRows,
    *,
    examples: Sequence[TraceExample],
    vocab_size: int,
) -> list[str]:
    """Look at recipe and rows before anything is compiled; returns warnings, one sentence each.

    ``examples`` are those the rows were made from and serve to name traces; ``vocab_size`` is
    the number of rows of the model's table.

    Raises:
        ConfigError: for what can only fail: a vocabulary that is too small, PAD equal to EOS, a trace
            without a supervised token, a learning rate beyond all sense.
    """
    form = text_form(config)
    check_tokens(vocab_size=vocab_size, used=form.vocab_size, pad=form.pad, ends=form.ends)
    require_supervision(rows, examples)
    return [
        *_cut(config, rows, examples),
        *_dropped(config, rows),
        *_positions(config),
        *_rate(config),
        *_batch(config, rows),
    ]


def check_tokens(*, vocab_size: int, used: int, pad: int, ends: Sequence[int]) -> None:
    """Refuse a model and a tokenizer that do not go together.

    Raises:
        ConfigError: naming the numbers.
    """
    if vocab_size < used:
        raise ConfigError(
            f"The model has {vocab_size} rows for tokens and the tokenizer uses {used} ids; take a model "
            f"with vocab_size={used} or more."
        )
    if pad in ends:
        raise ConfigError(
            f"The tokenizer's PAD and EOS are the same id ({pad}), so an end could not be told from "
            "padding and would never be learnt; take a tokenizer that has both."
        )


def require_supervision(rows: AnyRows, examples: Sequence[TraceExample] = ()) -> None:
    """Refuse traces without a supervised target: they would train to a loss of 0 and learn nothing.

    Raises:
        ConfigError: naming the first such traces.
    """
    bare = np.flatnonzero(rows.table.supervised == 0)
    if len(bare):
        cut = int(np.count_nonzero(rows.table.cut_tokens[bare]))
        why = (
            f"; {cut} of them were cut within their prompt, so a larger sequence_length helps" if cut else ""
        )
        raise ConfigError(
            f"{len(bare)} training traces supervise no token ({_named(rows, bare, examples)}){why}. "
            "Remove them from the dataset, or set long_traces=drop where they are too long."
        )


def _cut(config: TrainConfig, rows: AnyRows, examples: Sequence[TraceExample]) -> list[str]:
    cut = np.flatnonzero(rows.table.cut_tokens)
    if not len(cut):
        return []
    lost = rows.table.cut_tokens[cut]
    message = (
        f"{len(cut)} of {len(rows.table.sizes)} training traces are cut to sequence_length="
        f"{config.sequence_length}: {int(lost.sum(dtype=np.int64))} tokens are lost, {int(lost.max())} "
        f"of one trace, and their EOS is not supervised ({_named(rows, cut, examples)})."
    )
    return [message]


def _dropped(config: TrainConfig, rows: AnyRows) -> list[str]:
    dropped = int(rows.facts()["dropped"])
    if not dropped:
        return []
    total = dropped + len(rows.table.sizes)
    message = (
        f"{dropped} of {total} training traces are left out: they are longer than "
        f"sequence_length={config.sequence_length} allows."
    )
    return [message]


def _positions(config: TrainConfig) -> list[str]:
    if not is_base(config.model):
        return []
    base = find_base(config.model)
    if base.positions is None or config.sequence_length <= base.positions:
        return []
    message = (
        f"sequence_length={config.sequence_length} is more than the {base.positions} positions that "
        f"{base.reference} was made for (max_position_embeddings); in longer texts it reads and writes at "
        "places that it has never seen."
    )
    return [message]


def _rate(config: TrainConfig) -> list[str]:
    warn, refuse = _RATES[config.optimizer]
    rate = config.learning_rate
    if rate > refuse:
        raise ConfigError(
            f"learning_rate={rate:g} cannot work with optimizer={config.optimizer}: above {refuse:g} one "
            f"update destroys what the weights hold. Take {warn:g} or less."
        )
    if rate > warn:
        message = (
            f"learning_rate={rate:g} is unusually high for optimizer={config.optimizer} (above {warn:g}); "
            "the loss may diverge."
        )
        return [message]
    if rate < _SMALLEST_RATE:
        return [
            f"learning_rate={rate:g} is so low that {config.steps} updates will hardly change the weights."
        ]
    return []


def _batch(config: TrainConfig, rows: AnyRows) -> list[str]:
    warnings = []
    if config.batch_size > len(rows):
        warnings.append(
            f"batch_size={config.batch_size} is more than the {len(rows)} rows there are, so every update "
            f"sees some of them {-(-config.batch_size // len(rows))} times; take {len(rows)} or less"
            + (", or a smaller sequence_length." if rows.max_segments > 1 else ".")
        )
    epochs = config.steps * config.batch_size / len(rows)
    if epochs > _MANY_EPOCHS:
        warnings.append(
            f"{config.steps} updates of {config.batch_size} rows go {epochs:,.0f} times over the "
            f"{len(rows)} rows; the model will learn them by heart."
        )
    return warnings


def _named(rows: AnyRows, places: npt.NDArray[np.int64], examples: Sequence[TraceExample]) -> str:
    """Name the first traces by their number in the dataset and, where there is one, their id."""
    sources = sorted(int(source) for source in rows.table.sources[places])
    names = [
        f"{source} ({examples[source].trace_id[:12]})" if source < len(examples) else str(source)
        for source in sources[:_NAMED]
    ]
    more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
    return f"traces {', '.join(names)}{more}"
