import pytest

from training.config import TrainConfig
from training.hf.families import model_config_from_hf
from training.hf.names import tensors_of
from training.hf.tests.published import PUBLISHED
from training.memory_estimate import estimate, texts_that_fit, writing_bytes
from training.model_config import PRESETS, parameter_count
from training.optimizer_bytes import optimizer_bytes

GIB = 2**30
BASE = "base@" + "0" * 12
CARD = 12 * GIB
LENGTHS = (512, 1024, 2048, 4096, 8192)
WAYS = {
    "full": {"method": "full"},
    "adafactor": {"method": "full", "optimizer": "adafactor"},
    "lora": {"method": "lora"},
    "qlora": {"method": "qlora"},
}


def config(**values):
    return TrainConfig(**{"model": BASE, "batch_size": 1, "remat": "block", **values})


def shape_of(name):
    return model_config_from_hf(PUBLISHED[name][1])


def need(name, way, length):
    return estimate(shape_of(name), config(sequence_length=length, **WAYS[way])).total


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_gives_its_exact_number_of_parameters(name):
    expected, _ = PUBLISHED[name]
    shape = shape_of(name)
    assert parameter_count(shape) == expected
    assert sum(tensor.size for tensor in tensors_of(shape)) == expected


def test_what_stays_is_counted_from_the_shapes():
    shape = PRESETS["tiny"]
    count = parameter_count(shape)
    full = estimate(shape, config(model="tiny", batch_size=2, sequence_length=64, ema_decay=0.9))
    assert (full.frozen, full.trained, full.optimizer, full.average) == (0, 4 * count, 8 * count, 4 * count)
    # Ids, targets, weights and the numbers of the traces.
    assert full.batch == 2 * 64 * 4 * 4

    kernels = sum(one.size for one in tensors_of(shape) if one.layer is not None and "kernel" in one.ours)
    norms = count - kernels - 260 * 128
    adapters = sum(
        4 * sum(one.shape) for one in tensors_of(shape) if one.layer is not None and one.transposed
    )
    lora = estimate(shape, config(method="lora", lora_rank=4))
    assert lora.trained == 4 * adapters
    assert lora.optimizer == 8 * adapters
    assert lora.frozen == 2 * (kernels + 260 * 128) + 4 * norms

    # All matrices of tiny have inputs that 64 divides, but for the 336 of the MLP: 16 divides both.
    scales = sum(
        one.size // (16 if one.ours.endswith("mlp.out.kernel") else 64)
        for one in tensors_of(shape)
        if one.layer is not None and one.transposed
    )
    nf4 = estimate(shape, config(method="qlora"))
    assert nf4.frozen == kernels // 2 + 4 * scales + 2 * 260 * 128 + 4 * norms
    int8 = estimate(shape, config(method="qlora", quantization="int8"))
    outputs = sum(one.shape[0] for one in tensors_of(shape) if one.layer is not None and one.transposed)
    assert int8.frozen == kernels + 4 * outputs + 2 * 260 * 128 + 4 * norms


def test_targets_are_found_by_the_names_of_hugging_face():
    shape = PRESETS["tiny"]
    queries = estimate(shape, config(method="lora", lora_rank=4, lora_targets="layers.1.*q_proj"))
    assert queries.trained == 4 * 4 * (128 + 128)


@pytest.mark.parametrize(
    ("optimizer", "numbers"),
    [
        ("adamw", 2 * (256 * 512 + 8)),
        ("lion", 256 * 512 + 8),
        ("sgd", 256 * 512 + 8),
        ("muon", 256 * 512 + 2 * 8),
        ("adafactor", 256 + 512 + 1 + 8 + 2),
    ],
)
def test_the_state_of_each_update_rule(optimizer, numbers):
    found = optimizer_bytes([(256, 512), (8,)], [(256, 512)], TrainConfig(optimizer=optimizer))
    assert found == 4 * numbers


def test_more_rows_longer_rows_and_less_recomputation_need_more():
    shape = shape_of("SmolLM2-135M")

    def total(**values):
        return estimate(shape, config(method="lora", **values)).total

    assert (
        total(sequence_length=1024) < total(sequence_length=2048) < total(sequence_length=2048, batch_size=2)
    )
    blocks, dots, none = (total(sequence_length=2048, remat=one) for one in ("block", "dots", "none"))
    assert blocks < dots < none
    # Micro-batches need their own rows alone, and a second copy of the gradients.
    small = estimate(shape, config(batch_size=8, micro_batch=1))
    assert small.beside["their sum over micro-batches"] == small.trained
    assert small.total < estimate(shape, config(batch_size=8, sequence_length=4096)).total


def test_parts_add_up_to_the_whole():
    found = estimate(shape_of("Gemma-3-270m"), config(method="qlora"))
    assert sum(found.parts().values()) == found.total
    assert found.moment in {"the loss", "the backward pass", "the optimizer"}
    assert 0 not in found.parts().values()


def test_as_many_texts_are_written_together_as_fit():
    shape, recipe = shape_of("Qwen3-0.6B"), config(method="lora", sequence_length=1024)
    # Keys and values of 28 layers of 8 heads of 128 in bf16, twice, and logits over the vocabulary.
    assert writing_bytes(shape, recipe, 1) == 2 * 1024 * 28 * 2 * 8 * 128 * 2 + 2 * 151936 * 4
    assert texts_that_fit(shape, recipe, CARD) == 32
    assert texts_that_fit(shape, recipe, 80 * GIB) == 64
    assert texts_that_fit(shape, recipe, 0) == 1
    full = config(method="full", sequence_length=1024)
    assert texts_that_fit(shape, full, CARD) < 32


def test_scores_are_squares_only_without_a_fused_kernel():
    shape = shape_of("SmolLM2-135M")
    dense, fused = (
        estimate(shape, config(method="lora", sequence_length=4096), attention=one).total
        for one in ("dense", "fused")
    )
    assert dense - fused > shape.heads * 4096**2 * 4


def test_what_fits_into_12_gb_as_the_documentation_says():
    fits: dict[str, dict[str, int]] = {}
    lines = []
    for name in PUBLISHED:
        fits[name] = {}
        for way in WAYS:
            needs = [need(name, way, length) for length in LENGTHS]
            fitting = [length for length, size in zip(LENGTHS, needs, strict=True) if size <= CARD]
            fits[name][way] = max(fitting, default=0)
            lines.append(f"{name:15} {way:10} " + " ".join(f"{size / GIB:6.1f}" for size in needs))
    print("GiB at", LENGTHS)
    print("\n".join(lines))

    everywhere = {"Qwen3-0.6B", "Qwen2.5-0.5B", "Gemma-3-270m", "SmolLM2-135M", "SmolLM2-360M"}
    assert {name for name in fits if fits[name]["full"] == 8192} == everywhere
    assert {name for name in fits if fits[name]["full"] == 0} == set(fits) - everywhere
    assert {name for name in fits if fits[name]["adafactor"] < 8192} == {"Qwen3-1.7B", "Llama-3.2-1B"}
    assert fits["Qwen3-1.7B"]["adafactor"] == 0
    assert fits["Llama-3.2-1B"]["adafactor"] == 512
    assert all(fits[name][way] == 8192 for name in fits for way in ("lora", "qlora"))
