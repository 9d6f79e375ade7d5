from typing import NamedTuple

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from training.errors import TrainingError
from training.free_memory import FreeMemory
from training.memory import (
    MemoryPlan,
    advise,
    is_out_of_memory,
    largest_micro_batch,
    memory_plan,
    size_text,
)
from training.tests.support import fast_config

MIB = 2**20
SIDE = 512
ARRAY = 4 * SIDE * SIDE  # bytes: one MiB


class State(NamedTuple):
    params: jax.ShapeDtypeStruct
    optimizer: jax.ShapeDtypeStruct
    average: jax.ShapeDtypeStruct | None
    step: jax.ShapeDtypeStruct


def square():
    return jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)


def compiled_update(state, batch):
    def update(state, batch):
        # The product's two factors must exist beside all arguments, and one new array leaves.
        product = jnp.sin(state.params) @ jnp.cos(batch)
        return State(state.params + product, state.optimizer * 2, state.average, state.step + 1), product

    return jax.jit(update, donate_argnums=0).lower(state, batch).compile()


def described():
    return State(square(), square(), None, jax.ShapeDtypeStruct((), jnp.int32)), square()


def cpu():
    return jax.devices("cpu")[0]


def test_the_plan_is_the_compiled_updates_own_analysis():
    state, batch = described()
    plan = memory_plan(compiled_update(state, batch), state, batch, cpu(), free=FreeMemory(8 * ARRAY, "here"))
    assert (plan.parameters, plan.optimizer, plan.average, plan.batch) == (ARRAY, ARRAY, 0, ARRAY)
    # The new state lies in the old one's memory, so that only the second result is new.
    assert ARRAY <= plan.output < ARRAY + 1024
    assert ARRAY <= plan.temporaries <= 3 * ARRAY
    assert 0 <= plan.peak - (3 * ARRAY + plan.output + plan.temporaries) < 1024
    assert plan.fits
    assert plan.source == "the compiled update"
    assert str(plan) == f"needs {size_text(plan.peak)} and 8.0 MiB are free here"


def test_a_plan_fits_up_to_the_last_byte_and_where_nothing_is_known():
    state, batch = described()
    compiled = compiled_update(state, batch)

    def plan(free):
        return memory_plan(compiled, state, batch, cpu(), free=FreeMemory(free, "here"))

    peak = plan(None).peak
    assert [plan(free).fits for free in (None, peak, peak - 1)] == [True, True, False]
    assert plan(None).facts()["available"] is None
    assert plan(peak - 1).facts() == {
        "parameters": ARRAY,
        "frozen": 0,
        "optimizer": ARRAY,
        "average": 0,
        "batch": ARRAY,
        "temporaries": plan(None).temporaries,
        "output": plan(None).output,
        "peak": peak,
        "available": peak - 1,
        "source": "the compiled update",
        "place": "here",
        "fits": False,
    }


def test_without_an_analysis_shapes_are_added_up_and_the_plan_says_so():
    class Silent:
        def memory_analysis(self):
            return None

    state, batch = described()
    plan = memory_plan(Silent(), state, batch, cpu(), free=FreeMemory(None, "here"))
    assert plan.peak == 4 * ARRAY + 4
    assert "without activations" in plan.source


def test_the_device_is_asked_where_nothing_was_given():
    state, batch = described()
    plan = memory_plan(compiled_update(state, batch), state, batch, cpu())
    assert plan.available is not None
    assert plan.available > 0


class Planning:
    """Plans as a machine with ``free`` MiB would, by a rule of thumb, and counts how many were made."""

    def __init__(self, free, *, state=1.0, optimizer=2.0, row=1.0):
        self.free, self.state, self.optimizer, self.row = free, state, optimizer, row
        self.planned = set()

    def __call__(self, config):
        self.planned.add(config)
        rows = config.batch_size if config.micro_batch in (0, "auto") else config.micro_batch
        state = self.state + (self.optimizer if config.optimizer == "adamw" else 0)
        adding_up = 0.5 if rows < config.batch_size else 0
        row = self.row * config.sequence_length / 512 * (0.5 if config.remat == "block" else 1)
        peak = int((state + adding_up + rows * row) * MIB)
        available = None if self.free is None else int(self.free * MIB)
        return MemoryPlan(0, 0, 0, 0, 0, 0, 0, peak, available, "a rule of thumb", "on a stand-in")


@pytest.mark.parametrize(
    ("free", "rows"), [(None, 48), (51, 48), (50.9, 24), (27.5, 24), (27.4, 16), (6.5, 3), (4.5, 1)]
)
def test_the_largest_micro_batch_is_the_largest_divisor_that_fits(free, rows):
    planning = Planning(free)
    assert largest_micro_batch(fast_config(batch_size=48, micro_batch="auto"), planning) == rows
    assert len(planning.planned) <= 5


def test_a_whole_batch_can_fit_where_its_half_does_not():
    def plan_of(config):
        peak = 10 if config.micro_batch == 4 else 20
        return MemoryPlan(0, 0, 0, 0, 0, 0, 0, peak, 15, "", "")

    assert largest_micro_batch(fast_config(batch_size=4, micro_batch="auto"), plan_of) == 4


def test_auto_says_what_would_help_where_not_even_one_row_fits():
    with pytest.raises(TrainingError, match=r"micro_batch=1 needs 4\.5 MiB .* These would fit: remat=block"):
        largest_micro_batch(fast_config(batch_size=8, micro_batch="auto"), Planning(4.2))


def test_the_message_says_by_how_much_and_what_would_fit():
    planning = Planning(20)
    message = advise(fast_config(batch_size=32), planning)
    assert message == (
        "The device has too little memory. An update of model=nano, batch_size=32, micro_batch=32 "
        "needs 35.0 MiB and 20.0 MiB are free on a stand-in, 15.0 MiB too much. These would fit: "
        "micro_batch=16 (19.5 MiB), remat=block (19.0 MiB), remat=block micro_batch=1 "
        "optimizer=adafactor (2.0 MiB)."
    )
    assert len(planning.planned) <= 9


def test_every_change_that_is_named_fits_by_its_own_plan():
    config = fast_config(batch_size=8)
    for free in (1.2, 1.5, 1.8, 2.2, 3.2, 4.2, 5.0, 8.0, 10.9):
        planning = Planning(free)
        message = advise(config, planning)
        named = message.partition("These would fit: ")[2].split("), ")
        changes = [
            dict(pair.split("=") for pair in text.partition(" (")[0].split()) for text in named if text
        ]
        for change in changes:
            values = {name: int(text) if text.isdigit() else text for name, text in change.items()}
            assert planning(config.model_copy(update=values)).fits, (free, change)
        assert bool(changes) == any(plan.fits for plan in map(planning, list(planning.planned)))


def test_where_nothing_helps_the_message_says_what_was_tried():
    message = advise(fast_config(batch_size=2), Planning(0.5))
    assert "These would fit" not in message
    assert "Not enough: micro_batch=1 (4.5 MiB), remat=block (4.0 MiB)" in message
    assert message.endswith("Take a smaller model or sequence_length, or free memory there.")


def test_a_recipe_that_fits_by_its_plan_is_told_only_what_needs_less():
    message = advise(fast_config(batch_size=4), Planning(100))
    assert "too much" not in message
    assert "micro_batch=2 (5.5 MiB), remat=block (5.0 MiB)" in message
    assert "eval_batch_size" in message


def test_sizes_are_written_for_people():
    assert size_text(int(14.2 * 2**30)) == "14.2 GiB"
    assert size_text(3 * 2**29) == "1.5 GiB"
    assert size_text(2**29) == "512.0 MiB"


def test_the_devices_own_error_is_known_by_what_it_says():
    huge = jax.jit(lambda x: jnp.zeros((2**50,), jnp.uint8) + x)
    with pytest.raises(Exception, match="RESOURCE_EXHAUSTED") as caught:
        jax.block_until_ready(huge(jnp.uint8(1)))
    assert is_out_of_memory(caught.value)
    outer = RuntimeError("the update failed")
    outer.__cause__ = caught.value
    assert is_out_of_memory(outer)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("shapes do not match"))
    with pytest.raises(TypeError) as caught:
        jnp.ones(3) @ jnp.ones(4)
    assert not is_out_of_memory(caught.value)
