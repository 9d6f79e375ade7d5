import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
from flax import nnx

from training.optim import effective_warmup, learning_rate_schedule, make_optimizer
from training.tests.support import fast_config

OPTIMIZERS = ["adamw", "adafactor", "lion", "muon", "sgd"]
SCHEDULES = ["constant", "cosine", "linear", "wsd"]


def rates(config):
    rate = learning_rate_schedule(config)
    return [float(rate(step)) for step in range(config.steps)]


def test_the_rate_rises_linearly_to_its_peak_and_falls_by_the_cosine():
    config = fast_config(steps=110, warmup_steps=10, learning_rate=1e-3, final_learning_rate=1e-4)
    rate = learning_rate_schedule(config)
    np.testing.assert_allclose([rate(i) for i in range(10)], [1e-4 * (i + 1) for i in range(10)], rtol=1e-5)
    assert float(rate(10)) == pytest.approx(1e-3)
    assert float(rate(60)) == pytest.approx((1e-3 + 1e-4) / 2)
    assert float(rate(110)) == pytest.approx(1e-4)
    assert 1e-4 < float(rate(109)) < 1.03e-4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
def test_short_runs_have_a_rate_above_zero_at_every_update(schedule, steps, share):
    config = fast_config(steps=steps, warmup_steps=100, warmup_share=share, schedule=schedule)
    assert all(0 < rate <= config.learning_rate * 1.0001 for rate in rates(config))


def test_warm_up_is_a_share_where_one_is_set_and_else_at_most_a_quarter():
    assert effective_warmup(fast_config(steps=1000, warmup_steps=100)) == 100
    assert effective_warmup(fast_config(steps=100, warmup_steps=100)) == 25
    assert effective_warmup(fast_config(steps=1000, warmup_steps=100, warmup_share=0.4)) == 400
    assert effective_warmup(fast_config(steps=10, warmup_share=0.01)) == 1


def test_a_constant_rate_stays_at_its_peak():
    found = rates(fast_config(steps=12, warmup_steps=3, schedule="constant", learning_rate=0.3))
    np.testing.assert_allclose(found, [0.1, 0.2] + [0.3] * 10, rtol=1e-6)


def test_a_linear_rate_would_be_at_its_end_right_after_the_last_update():
    config = fast_config(
        steps=12, warmup_steps=2, schedule="linear", learning_rate=1.0, final_learning_rate=0.5
    )
    np.testing.assert_allclose(rates(config), [0.5, 1, *(1 - 0.05 * np.arange(10))], rtol=1e-6)
    assert float(learning_rate_schedule(config)(12)) == pytest.approx(0.5)


def test_wsd_warms_up_stays_and_falls_in_a_line():
    config = fast_config(
        steps=20,
        warmup_steps=4,
        schedule="wsd",
        decay_share=0.25,
        learning_rate=1.0,
        final_learning_rate=0,
    )
    expected = [0.25, 0.5, 0.75, 1, *[1] * 11, 1, 0.8, 0.6, 0.4, 0.2]
    np.testing.assert_allclose(rates(config), expected, rtol=1e-6)
    assert float(learning_rate_schedule(config)(20)) == 0


def stacked_params():
    """Parameters as they lie with scanned layers: two layers, on the first axis of their blocks."""
    keys = jax.random.split(jax.random.key(0), 4)
    return {
        "embedding": jax.random.normal(keys[0], (7, 4)),
        "head": {"kernel": jax.random.normal(keys[1], (4, 7))},
        "blocks": {
            "norm": {"scale": jax.random.normal(keys[2], (2, 4))},
            "mlp": {"kernel": jax.random.normal(keys[3], (2, 4, 6)), "bias": jnp.ones((2, 6))},
        },
    }


def listed_params():
    """The same parameters with a block a layer."""
    params = stacked_params()
    layers = [jax.tree.map(lambda leaf, i=i: leaf[i], params["blocks"]) for i in range(2)]
    return {**params, "blocks": dict(enumerate(layers))}


def trajectory(optimizer, params, *, schedule=None, steps=6):
    """Follow a few updates with made-up gradients; a schedule multiplies updates for a rate of one."""
    state, path = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for step in range(steps):
        gradients = jax.tree.map(lambda leaf, s=step: jnp.sin(3 * leaf + s), params)
        changes, state = update(gradients, state, params)
        if schedule is not None:
            changes = optax.tree.scale(schedule(step), changes)
        params = optax.apply_updates(params, changes)
        path.append(params)
    return path


def decayed(tree):
    """Name the leaves that decay: matrices of one layer, written down by hand."""
    return {
        "embedding": True,
        "head": {"kernel": True},
        "blocks": {"norm": {"scale": False}, "mlp": {"kernel": True, "bias": False}},
    }


def reference(name, config):
    """Build Optax's own optimizer with the rate built in."""
    rate = learning_rate_schedule(config)
    clip = optax.clip_by_global_norm(config.clip_norm)
    if name == "adamw":
        rule = optax.adamw(
            rate, b1=config.beta1, b2=config.beta2, eps=config.epsilon, weight_decay=0.1, mask=decayed
        )
    elif name == "adafactor":
        rule = optax.adafactor(
            rate,
            multiply_by_parameter_scale=False,
            weight_decay_rate=lambda step: 0.1 * rate(step),
            weight_decay_mask=decayed,
        )
    elif name == "lion":
        rule = optax.lion(rate, b1=config.beta1, b2=config.beta2, weight_decay=0.1, mask=decayed)
    else:
        rule = optax.chain(
            optax.trace(config.beta1),
            optax.add_decayed_weights(0.1, mask=decayed),
            optax.scale_by_learning_rate(rate),
        )
    return optax.chain(clip, rule)


@pytest.mark.parametrize("name", ["adamw", "adafactor", "lion", "sgd"])
def test_updates_for_a_rate_of_one_times_the_rate_are_optaxs_own(name):
    config = fast_config(optimizer=name, steps=8, learning_rate=0.05, weight_decay=0.1)
    rate = learning_rate_schedule(config)
    found = trajectory(make_optimizer(config), stacked_params(), schedule=rate)
    expected = trajectory(reference(name, config), stacked_params())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, expected)


def test_sgd_without_decay_is_optaxs_own():
    config = fast_config(optimizer="sgd", steps=8, learning_rate=0.05, weight_decay=0, clip_norm=0)
    rate = learning_rate_schedule(config)
    found = trajectory(make_optimizer(config), listed_params(), schedule=rate)
    expected = trajectory(optax.sgd(rate, momentum=config.beta1), listed_params())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), found, expected)


def test_muon_takes_the_kernels_of_blocks_and_adamw_the_rest():
    config = fast_config(optimizer="muon", steps=8, learning_rate=0.05, weight_decay=0.1, clip_norm=0)
    rate = learning_rate_schedule(config)
    found = trajectory(make_optimizer(config), listed_params(), schedule=rate)
    adamw = optax.adamw(rate, b1=config.beta1, b2=config.beta2, eps=config.epsilon, weight_decay=0.1)
    muon = optax.contrib.muon(rate, weight_decay=0.1, consistent_rms=0.2)
    params = listed_params()
    for name in ("embedding", "head"):
        np.testing.assert_allclose(
            jax.tree.leaves([step[name] for step in found]),
            jax.tree.leaves(trajectory(adamw, params[name])),
            rtol=1e-6,
            atol=1e-6,
        )
    for layer in range(2):
        np.testing.assert_allclose(
            [step["blocks"][layer]["mlp"]["kernel"] for step in found],
            trajectory(muon, params["blocks"][layer]["mlp"]["kernel"]),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_scanned_layers_are_updated_as_layers_of_their_own(name):
    config = fast_config(optimizer=name, steps=8, learning_rate=0.05)
    rate = learning_rate_schedule(config)
    # Adafactor limits the size of a whole stack's update, which its first one cannot exceed.
    steps = 1 if name == "adafactor" else 4
    alone = trajectory(make_optimizer(config), listed_params(), schedule=rate, steps=steps)[-1]
    stacked = trajectory(make_optimizer(config), stacked_params(), schedule=rate, steps=steps)[-1]
    joined = jax.tree.map(lambda *layers: jnp.stack(layers), *alone["blocks"].values())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), stacked["blocks"], joined
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_shrinks_matrices_and_leaves_scales_and_biases_alone(name):
    config = fast_config(optimizer=name, weight_decay=0.5, clip_norm=0)
    for params in (stacked_params(), listed_params()):
        changes, _ = make_optimizer(config).update(
            optax.tree.zeros_like(params), make_optimizer(config).init(params), params
        )
        for (path, change), leaf in zip(
            jax.tree_util.tree_leaves_with_path(changes), jax.tree.leaves(params), strict=True
        ):
            share = 0 if "scale" in str(path) or "bias" in str(path) else -0.5
            np.testing.assert_allclose(change, share * leaf, rtol=1e-6, err_msg=str(path))


def test_the_places_are_found_in_the_models_own_tree():
    class Layer(nnx.Module):
        def __init__(self) -> None:
            self.kernel = nnx.Param(jnp.ones((4, 6)))
            self.scale = nnx.Param(jnp.ones(4))

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.embedding = nnx.Param(jnp.ones((7, 4)))
            self.blocks = nnx.List([Layer(), Layer()])

    params = nnx.state(Model(), nnx.Param)
    optimizer = make_optimizer(fast_config(optimizer="muon", weight_decay=0, clip_norm=0))
    gradients = jax.tree.map(
        lambda leaf: jnp.arange(leaf.size, dtype=jnp.float32).reshape(leaf.shape), params
    )
    changes, _ = optimizer.update(gradients, optimizer.init(params), params)
    plain = nnx.to_pure_dict(changes)
    # AdamW's first update has entries of one; Muon's has a mean square near 0.2 squared.
    np.testing.assert_allclose(plain["embedding"].ravel()[1:], -1, rtol=1e-4)
    np.testing.assert_allclose(plain["blocks"][1]["scale"][1:], -1, rtol=1e-4)
    assert float(jnp.abs(plain["blocks"][1]["kernel"]).max()) < 0.6


@pytest.mark.parametrize(("clip_norm", "norm"), [(0.0, 10.0), (2.0, 2.0), (20.0, 10.0)])
def test_gradients_are_clipped_by_their_global_norm_or_not_at_all(clip_norm, norm):
    config = fast_config(optimizer="sgd", weight_decay=0, clip_norm=clip_norm)
    optimizer, params = make_optimizer(config), {"a": jnp.zeros(2), "b": jnp.zeros(())}
    gradients = {"a": jnp.array([6.0, 0.0]), "b": jnp.float32(8)}
    changes, _ = optimizer.update(gradients, optimizer.init(params), params)
    assert float(optax.tree.norm(changes)) == pytest.approx(norm, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_rule_lowers_the_loss_of_a_small_problem(name):
    config = fast_config(
        optimizer=name, steps=60, learning_rate=0.03, weight_decay=0, warmup_steps=5, schedule="wsd"
    )
    rate, optimizer = learning_rate_schedule(config), make_optimizer(config)
    x = jax.random.normal(jax.random.key(1), (32, 4))
    wanted = x @ jax.random.normal(jax.random.key(2), (4, 3))

    def loss(params):
        return jnp.mean((x @ params["blocks"]["0"]["kernel"] + params["shift"] - wanted) ** 2)

    @jax.jit
    def step(params, state, index):
        changes, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, optax.tree.scale(rate(index), changes)), state

    params = {"blocks": {"0": {"kernel": jnp.zeros((4, 3))}}, "shift": jnp.zeros(3)}
    first, state = float(loss(params)), optimizer.init(params)
    for index in range(config.steps):
        params, state = step(params, state, index)
    assert float(loss(params)) < 0.7 * first
