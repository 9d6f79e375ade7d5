"""What a checkpoint cannot take up is what changes its arrays, its base or its texts."""

import pytest

from training.config import make_config
from training.taking_up import fixed_fields

BASE = "some@" + "0" * 12
CHANGES = [
    {"optimizer": "lion"}, {"optimizer": "muon"}, {"scan_layers": True}, {"ema_decay": 0.9}, {"clip_norm": 0},
    {"clip_norm": 0.5}, {"dropout": 0.1}, {"weight_decay": 0}, {"precision": "bf16"}, {"remat": "block"},
]  # fmt: skip


def fixed(before, **changes):
    return fixed_fields(make_config(before), make_config({**before, **changes}))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_what_changes_the_arrays_of_a_checkpoint_is_fixed(changes):
    jax = pytest.importorskip("jax")
    from training.assembly import abstract_state, assemble
    from training.leaves import named_leaves

    def arrays(**values):
        assembly = assemble(make_config({"model": "nano", **values}), jax.devices("cpu")[0])
        described = named_leaves(abstract_state(assembly).saved)
        return {name: (leaf.shape, leaf.dtype) for name, leaf in described.items()}

    assert bool(fixed({"model": "nano"}, **changes)) == (arrays() != arrays(**changes))


def test_what_adapters_are_and_how_texts_are_written_is_fixed():
    lora = {"model": BASE, "method": "lora"}
    texts = {"reasoning": "think", "system_prompt": "Think."}
    assert fixed(lora, **texts) == ["reasoning", "system_prompt"]
    assert fixed(lora, lora_rank=2, lora_targets="q_proj") == ["lora_rank", "lora_targets"]
    assert fixed(lora, method="full") == ["method"]
    assert fixed(lora, method="qlora") == ["method"]
    assert (
        fixed(
            lora,
            quantization="int8",
            lora_alpha=4,
            lora_dropout=0.1,
            learning_rate=2e-4,
            final_learning_rate=0,
        )
        == []
    )
    assert fixed({**lora, "method": "qlora"}, quantization="int8") == ["quantization"]
    assert fixed({"model": BASE}, lora_rank=2) == []
    # A model from scratch takes no notice of any of them.
    assert fixed({"model": "nano"}, **texts, lora_rank=2) == []
