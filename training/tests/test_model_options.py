"""What changes how a model is computed, and what may not change what it computes."""

from functools import partial

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from training.errors import ConfigError
from training.layers import drop
from training.leaves import named_leaves
from training.losses import cross_entropy
from training.model import Transformer
from training.model_config import LinearRope, Llama3Rope, ModelConfig
from training.rope import positions_of

PLAIN = ModelConfig(layers=2, width=24, heads=4, kv_heads=2, head_size=8, mlp_width=40, vocab_size=64)
GEMMA = {
    "layers": 3,
    "qk_norm": True,
    "post_norms": True,
    "unit_offset": True,
    "embedding_scale": True,
    "activation": "gelu_tanh",
    "attention_scale": 0.2,
    "attention_soft_cap": 5.0,
    "final_soft_cap": 4.0,
    "window": 6,
    "global_every": 3,
    "rope_theta": 1e6,
    "local_rope_theta": 1e4,
}
LLAMA3 = Llama3Rope(factor=8, low_frequency=1, high_frequency=4, original_length=16)
SHAPES = {
    "plain": PLAIN,
    "llama": PLAIN.model_copy(update={"tied": False, "rope_scaling": LLAMA3}),
    "linear": PLAIN.model_copy(update={"rope_scaling": LinearRope(factor=4)}),
    "qwen2": PLAIN.model_copy(update={"qkv_bias": True, "out_bias": True}),
    "qwen3": PLAIN.model_copy(update={"qk_norm": True, "head_size": 16}),
    "windows": PLAIN.model_copy(update={"window": 6}),
    "gemma3": PLAIN.model_copy(update=GEMMA),
}
TOKENS = jax.random.randint(jax.random.key(1), (2, 24), 0, 64)


def build(shape, *, dtype="float32", implementation="dense", **options):
    """Make a model whose parameters, norms and biases too, have values of their own.

    They are drawn without JAX, which would compile longer than the tests run, and for each
    layer as it is drawn in a scan.
    """

    def make():
        kind = jnp.dtype(dtype)
        return Transformer(shape, dtype=kind, implementation=implementation, rngs=nnx.Rngs(0), **options)

    graph, described = nnx.split(nnx.eval_shape(make))
    drawn = []
    for name, leaf in named_leaves(described).items():
        layer, rest = (
            (name.split(".")[1], name.split(".")[2:]) if "blocks.0" <= name < "blocks.:" else ("", [])
        )
        draw = partial(_draw, ".".join(rest) if rest else name.removeprefix("blocks."))
        if name.startswith("blocks.") and not rest:
            drawn.append(np.stack([draw(str(i), leaf.shape[1:]) for i in range(shape.layers)]))
        else:
            drawn.append(draw(layer, leaf.shape))
    return nnx.merge(graph, jax.device_put(jax.tree.unflatten(jax.tree.structure(described), drawn)))


def _draw(name, layer, shape):
    values = np.random.default_rng([*name.encode(), *layer.encode()]).normal(size=shape).astype(np.float32)
    if len(shape) == 2:
        return values * shape[0] ** -0.5
    return 0.3 * values + (1 if name.endswith("scale") else 0)


def run(model, **rest):
    """Return the logits of TOKENS, compiled as a whole."""
    return nnx.jit(lambda model, rest: model(TOKENS, **rest))(model, rest)


def loss_and_gradients(model, segments=None, key=None):
    graph, params = nnx.split(model)

    def loss(params):
        logits = nnx.merge(graph, params)(TOKENS, segments=segments, key=key)
        return cross_entropy(logits, jnp.roll(TOKENS, -1, axis=1), jnp.ones(TOKENS.shape))[0] / TOKENS.size

    value, gradients = jax.jit(jax.value_and_grad(loss))(params)
    return value, named_leaves(gradients)


def stacked(leaves, layers):
    """Write leaves of an unscanned model as those of a scanned one."""
    found = {}
    for name, leaf in leaves.items():
        if name.startswith("blocks.0."):
            rest = name.removeprefix("blocks.0.")
            found["blocks." + rest] = jnp.stack([leaves[f"blocks.{i}.{rest}"] for i in range(layers)])
        elif not name.startswith("blocks."):
            found[name] = leaf
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, leaf in one.items():
        np.testing.assert_allclose(leaf, other[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_scan_over_layers_starts_from_the_same_values():
    def start(scan_layers):
        dtype = jnp.dtype("float32")

        def make():
            model = Transformer(
                PLAIN, dtype=dtype, implementation="dense", rngs=nnx.Rngs(0), scan_layers=scan_layers
            )
            return nnx.split(model)[1]

        return named_leaves(jax.jit(make)())

    scanned = start(True)
    assert scanned["blocks.attention.q.kernel"].shape == (2, 24, 32)
    assert_same(scanned, stacked(start(False), PLAIN.layers))


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "windows"])
def test_a_scan_over_layers_learns_as_the_layers_one_by_one(name):
    shape = SHAPES[name]
    loss, gradients = loss_and_gradients(build(shape))
    scanned_loss, scanned_gradients = loss_and_gradients(build(shape, scan_layers=True))
    assert float(scanned_loss) == pytest.approx(float(loss), rel=1e-6)
    assert_same(scanned_gradients, stacked(gradients, shape.layers))


def test_a_scan_over_layers_that_differ_is_refused():
    with pytest.raises(ConfigError, match=r"number 3 divides.*scan_layers=false"):
        build(SHAPES["gemma3"], scan_layers=True)


@pytest.mark.parametrize(("remat", "scan_layers"), [("block", False), ("dots", False), ("dots", True)])
def test_recomputation_changes_nothing(remat, scan_layers):
    segments = jnp.repeat(jnp.array([[1, 2], [1, 2]]), 12, axis=1)
    options = {"scan_layers": scan_layers, "dropout": 0.3}
    plain = loss_and_gradients(build(PLAIN, **options), segments, jax.random.key(7))
    again = loss_and_gradients(build(PLAIN, **options, remat=remat), segments, jax.random.key(7))
    assert float(again[0]) == pytest.approx(float(plain[0]), rel=1e-6)
    assert_same(again[1], plain[1])


def test_recomputation_of_blocks_works_more_than_that_of_all_but_products():
    def products(remat):
        graph, params = nnx.split(build(PLAIN, remat=remat))

        def loss(params):
            return nnx.merge(graph, params)(TOKENS).sum()

        return str(jax.make_jaxpr(jax.grad(loss))(params)).count("dot_general")

    none, dots, block = products("none"), products("dots"), products("block")
    assert none < dots < block


@pytest.mark.parametrize("name", SHAPES)
def test_logits_from_the_cache_equal_those_of_the_training_pass(name):
    model = build(SHAPES[name])
    full = run(model)
    sizes, rows = jnp.array([5, 10]), jnp.arange(2)
    prompts = jnp.where(jnp.arange(12)[None, :] < sizes[:, None], TOKENS[:, :12], 63)
    logits, caches = nnx.jit(Transformer.prefill, static_argnums=3)(model, prompts, sizes, 32)
    decode = nnx.jit(Transformer.decode)
    for i in range(13):  # well beyond a window of 6
        positions = sizes + i
        np.testing.assert_allclose(logits, full[rows, positions - 1], rtol=1e-4, atol=1e-5)
        logits, caches = decode(model, TOKENS[rows, positions], positions, caches)


def test_a_scanned_model_generates_as_the_same_model_unscanned():
    sizes = jnp.array([7, 7])
    results = []
    for scan_layers in (False, True):
        model = build(PLAIN, scan_layers=scan_layers)
        _, caches = model.prefill(TOKENS[:, :8], sizes, 16)
        results.append(model.decode(TOKENS[:, 7], sizes, caches)[0])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-5)


def test_features_times_the_output_matrix_are_the_logits_before_their_cap():
    for name in ("plain", "llama", "gemma3"):
        model = build(SHAPES[name])
        features = model.features(TOKENS)
        logits = features @ model.output_matrix()
        if cap := SHAPES[name].final_soft_cap:
            logits = cap * jnp.tanh(logits / cap)
        assert features.shape == (*TOKENS.shape, PLAIN.width)
        np.testing.assert_allclose(run(model), logits, rtol=1e-4, atol=1e-5)


def test_positions_begin_anew_with_each_segment():
    segments = jnp.array([[1, 1, 1, 2, 2, 3, 0, 0], [1, 2, 2, 2, 2, 2, 2, 2]])
    expected = [[0, 1, 2, 0, 1, 0, 0, 1], [0, 0, 1, 2, 3, 4, 5, 6]]
    np.testing.assert_array_equal(positions_of(segments), expected)


@pytest.mark.parametrize(
    ("name", "implementation"),
    [*((name, "dense") for name in SHAPES), ("plain", "chunked"), ("gemma3", "chunked")],
)
def test_a_trace_in_a_packed_row_has_the_features_that_it_has_alone(name, implementation):
    model = build(SHAPES[name], implementation=implementation)
    segments = jnp.repeat(jnp.array([[1, 2, 0], [1, 1, 2]]), 8, axis=1)
    features = nnx.jit(Transformer.features, static_argnames="reach")
    packed = features(model, TOKENS, segments=segments, reach=16)
    traces = [(0, 0, 8), (0, 8, 16), (1, 0, 16), (1, 16, 24)]
    rows = [jnp.pad(TOKENS[row, start:end], (0, 16 - end + start)) for row, start, end in traces]
    for alone, (row, start, end) in zip(features(model, jnp.stack(rows)), traces, strict=True):
        np.testing.assert_allclose(packed[row, start:end], alone[: end - start], rtol=1e-4, atol=1e-5)


def test_dropout_depends_on_its_key_alone_and_is_off_without_one():
    model = build(PLAIN, dropout=0.5)
    key = jax.random.key(3)
    plain, dropped = run(build(PLAIN)), run(model, key=key)
    np.testing.assert_array_equal(run(model), plain)
    np.testing.assert_array_equal(run(model, key=key), dropped)
    assert not np.allclose(dropped, plain)
    assert not np.allclose(dropped, run(model, key=jax.random.key(4)))
    np.testing.assert_array_equal(run(build(PLAIN), key=key), plain)


def test_each_layer_drops_other_values_and_a_scan_the_same():
    apart = build(PLAIN, dropout=0.5)
    scanned = build(PLAIN, dropout=0.5, scan_layers=True)
    key = jax.random.key(3)
    np.testing.assert_allclose(run(scanned, key=key), run(apart, key=key), rtol=1e-4, atol=1e-5)
    drops = [
        drop(jnp.ones((4, 8)), 0.5, jax.random.split(jax.random.fold_in(key, layer))[0]) for layer in (0, 1)
    ]
    assert not np.array_equal(drops[0], drops[1])


def test_dropout_keeps_the_expectation():
    dropped = drop(jnp.ones((400, 400)), 0.25, jax.random.key(0))
    np.testing.assert_allclose(np.unique(dropped), [0, 4 / 3], rtol=1e-6)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(float((dropped == 0).mean()), 0.25, atol=0.01)


def test_every_parameter_of_the_richest_shape_learns():
    _, gradients = loss_and_gradients(build(SHAPES["gemma3"].model_copy(update={"qkv_bias": True})))
    assert all(np.abs(leaf).max() > 0 for leaf in gradients.values())


def test_in_bf16_the_features_and_the_output_matrix_are_bf16_and_logits_fp32():
    model = build(SHAPES["gemma3"], dtype="bfloat16")
    assert model.features(TOKENS).dtype == model.output_matrix().dtype == jnp.bfloat16
    assert model(TOKENS).dtype == jnp.float32
