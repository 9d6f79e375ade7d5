from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.jax
pytest.importorskip("jax")

import jax
import numpy as np

from training.assembly import assemble
from training.bench.measure import bench
from training.checkpoint_store import restore_params
from training.decoding import Decoding
from training.device import probe, select_device
from training.errors import DeviceError, TrainingError
from training.evaluate import evaluate_checkpoint
from training.generate import STRETCH, Generator, StopRequestedError, bucket, generate_text
from training.rendering import prompt_text
from training.tests.support import MemoryRecorder, chain_examples, check_chain, fast_config, run_training
from training.tokenizer import TOKENIZER


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache_dir):
    """A nano model that has learned to write lines and to end, though not to reckon."""
    root = tmp_path_factory.mktemp("trained")
    config = fast_config(steps=150, batch_size=16, warmup_steps=10, learning_rate=5e-3)
    result, _ = run_training(config, root, cache_dir, train_count=200, test_count=12)
    return root / "150", result


@pytest.fixture(scope="module")
def generator(trained):
    step_dir, _ = trained
    assembly = assemble(fast_config(), select_device("cpu").device)
    return assembly, Generator(assembly), restore_params(step_dir, assembly=assembly)


def greedy_by_the_training_pass(run, prompt, limit):
    """Append the likeliest token again and again; chosen in NumPy, as JAX would compile each position."""
    tokens = TOKENIZER.encode(prompt_text(prompt))
    start = len(tokens)
    while len(tokens) - start < limit and tokens[-1] != TOKENIZER.eos:
        padded = np.array([tokens + [TOKENIZER.pad] * (96 - len(tokens))], dtype=np.int32)
        logits = np.asarray(run(padded))[0, len(tokens) - 1, : TOKENIZER.vocab_size]
        tokens.append(int(logits.argmax()))
    return TOKENIZER.decode(tokens[start:]), len(tokens) - start


def test_generation_with_the_cache_writes_what_the_training_pass_would(generator):
    assembly, generate, params = generator
    prompts = ["1+2*3", "9", "4*7-2+2", "7-7"]
    texts = generate(params, prompts, decoding=Decoding(max_new_tokens=STRETCH + 8), batch_size=8)
    run = jax.jit(assembly.model(params))
    for prompt, text in zip(prompts, texts, strict=True):
        assert (text.text, text.tokens) == greedy_by_the_training_pass(run, prompt, STRETCH + 8)


def test_logits_of_the_cache_equal_those_of_the_training_pass_at_every_position(generator):
    assembly, _, params = generator
    model = assembly.model(params)
    sizes, width, total = np.array([1, 7, 16, 3], dtype=np.int32), 16, 40
    tokens = np.random.default_rng(0).integers(0, 256, (4, total), dtype=np.int32)
    whole = np.asarray(jax.jit(model)(tokens))
    prompts = np.where(np.arange(width) < sizes[:, None], tokens[:, :width], TOKENIZER.pad)
    logits, caches = jax.jit(model.prefill, static_argnums=2)(prompts, sizes, total)
    decode, rows = jax.jit(model.decode), np.arange(4)
    for further in range(total - width + 1):
        positions = sizes + further
        np.testing.assert_allclose(logits, whole[rows, positions - 1], rtol=1e-4, atol=1e-4)
        if positions.max() < total:
            logits, caches = decode(tokens[rows, positions], positions, caches)


DRAWN = Decoding(max_new_tokens=24, temperature=1.2, top_p=0.95, seed=4)


@pytest.mark.parametrize("decoding", [Decoding(max_new_tokens=24), DRAWN], ids=["greedy", "drawn"])
def test_a_prompt_gives_the_same_text_alone_and_in_any_company(generator, decoding):
    _, generate, params = generator
    prompts = [example.prompt for example in chain_examples(11)]
    together = generate(params, prompts, decoding=decoding, batch_size=4)
    assert together == [generate(params, [prompt], decoding=decoding, batch_size=4)[0] for prompt in prompts]
    assert together[::-1] == generate(params, prompts[::-1], decoding=decoding, batch_size=11)


def test_samples_differ_come_prompt_by_prompt_and_repeat_with_the_seed(generator):
    _, generate, params = generator
    three = DRAWN.model_copy(update={"samples": 3})
    texts = generate(params, ["1+2*3", "9-4"], decoding=three, batch_size=8)
    assert len({text.text for text in texts}) > 3
    assert texts == generate(params, ["1+2*3", "9-4"], decoding=three, batch_size=2)
    assert texts[3:] == generate(params, ["9-4"], decoding=three, batch_size=8)
    assert texts[:3:3] == generate(params, ["1+2*3"], decoding=DRAWN, batch_size=8)
    assert texts[3:] == generate(params, ["9-4"] * 3, decoding=DRAWN, batch_size=8)
    other = three.model_copy(update={"seed": 5})
    assert texts != generate(params, ["1+2*3", "9-4"], decoding=other, batch_size=8)


def test_a_draw_among_one_is_the_greedy_text(generator):
    _, generate, params = generator
    prompts = [example.prompt for example in chain_examples(5)]
    greedy = generate(params, prompts, decoding=Decoding(max_new_tokens=24), batch_size=8)
    one = Decoding(max_new_tokens=24, temperature=2, top_k=1)
    assert generate(params, prompts, decoding=one, batch_size=8) == greedy


@pytest.mark.parametrize("decoding", [Decoding(max_new_tokens=24), DRAWN], ids=["greedy", "drawn"])
def test_ids_that_the_tokenizer_does_not_know_are_never_written(generator, decoding):
    assembly, generate, params = generator
    known, table = TOKENIZER.vocab_size, (assembly.shape.vocab_size, assembly.shape.width)
    assert table[0] > known

    def louder(leaf):
        """Give the ids beyond logits a thousand times as large."""
        return leaf.at[known:].multiply(1e3) if leaf.shape == table else leaf

    loud = jax.tree.map(louder, params)
    assert any((old != new).any() for old, new in zip(*map(jax.tree.leaves, (params, loud)), strict=True))
    prompts = [example.prompt for example in chain_examples(6)]
    texts = generate(params, prompts, decoding=decoding, batch_size=8)
    assert texts == generate(loud, prompts, decoding=decoding, batch_size=8)


def programs_of(jitted: Any) -> int:
    return int(jitted._cache_size())


def test_within_a_bucket_nothing_new_is_compiled(trained):
    step_dir, _ = trained
    assembly = assemble(fast_config(), select_device("cpu").device)
    generate, params = Generator(assembly), restore_params(step_dir, assembly=assembly)

    def programs(prompts, **settings):
        generate(params, prompts, decoding=Decoding(**settings), batch_size=4)
        return programs_of(generate._begin), programs_of(generate._continue)

    first = programs(["1+2", "3"], max_new_tokens=20)
    assert first == (1, 1)
    assert programs(["1+2*3-4", "3"], max_new_tokens=24) == first
    assert programs(["9"], max_new_tokens=18, temperature=0.5, samples=2) == first
    assert programs(["7", "8-1"], max_new_tokens=17, temperature=2, top_k=9, top_p=0.5, seed=8) == first
    assert programs(["1+2*3-4+5"], max_new_tokens=24, temperature=1, samples=2) == (2, 2)


def test_buckets_are_few_and_waste_little():
    assert [bucket(n) for n in (1, 8, 9, 64, 65, 81, 128, 129)] == [8, 8, 16, 64, 80, 96, 128, 160]
    sizes = range(1, 5000)
    assert all(n <= bucket(n) <= max(n * 1.25, n + 7) for n in sizes)
    assert len({bucket(n) for n in sizes}) < 36


def test_generation_ends_at_eos_or_at_the_limit(generator):
    _, generate, params = generator

    def write(limit):
        return generate(params, ["1+2*3"], decoding=Decoding(max_new_tokens=limit), batch_size=1)[0]

    text = write(60)
    assert text.stopped_at_eos
    assert text.tokens == len(text.text) + 1
    cut = write(text.tokens - 1)
    assert (cut.text, cut.stopped_at_eos) == (text.text, False)
    assert write(1).tokens == 1


def test_no_prompts_give_no_texts(generator):
    _, generate, params = generator
    assert generate(params, [], decoding=Decoding(max_new_tokens=5), batch_size=1) == []


def test_a_checkpoint_can_be_asked(trained, cache_dir):
    step_dir, _ = trained
    texts = generate_text(
        step_dir=step_dir,
        prompts=["1+2", "ä€"],
        decoding=Decoding(max_new_tokens=8, temperature=1, samples=2),
        device=select_device("cpu"),
        cache_dir=cache_dir,
    )
    assert [text.tokens <= 8 for text in texts] == [True] * 4


def evaluate(trained, cache_dir, recorder, **changes):
    return evaluate_checkpoint(
        **{
            "step_dir": trained[0],
            "examples": chain_examples(212)[200:],
            "split": "test",
            "limit": 8,
            "seed": 0,
            "device": select_device("cpu"),
            "recorder": recorder,
            "checkers": {"chain": check_chain},
            "cache_dir": cache_dir,
            **changes,
        }
    )


def test_evaluating_a_checkpoint_repeats_the_runs_own_final_evaluation(trained, cache_dir):
    recorder = MemoryRecorder()
    report = evaluate(trained, cache_dir, recorder)
    final = trained[1].evaluation
    assert recorder.evaluations == [report]
    assert (report.samples, report.loss, report.interval) == (final.samples, final.loss, final.interval)
    assert report.n == 8
    assert report.step_accuracy is not None


def test_prompts_that_were_trained_on_are_counted(trained, cache_dir):
    examples = chain_examples(212)[200:]
    known = frozenset(example.prompt for example in examples[:12])
    report = evaluate(trained, cache_dir, MemoryRecorder(), train_prompts=known)
    assert report.overlap == 8


def test_an_evaluation_can_be_stopped(trained, cache_dir):
    recorder = MemoryRecorder(stop_at_call=2)
    with pytest.raises(TrainingError, match="stopped before its end"):
        evaluate(trained, cache_dir, recorder)
    assert recorder.evaluations == []


def test_a_benchmark_tells_its_phases_apart_and_writes_a_profile(tmp_path, cache_dir):
    record = bench(
        config=fast_config(),
        examples=chain_examples(20),
        device=select_device("cpu"),
        recorder=MemoryRecorder(),
        steps=5,
        profile_dir=tmp_path / "profile",
        cache_dir=cache_dir,
    )
    assert len(record["step_time"]["series"]) == 5
    assert record["step_time"]["p10"] <= record["step_time"]["median"] <= record["step_time"]["p90"]
    assert record["tokens_per_second"] < record["padded_tokens_per_second"]
    assert min(record["lowering_s"], record["compile_s"], record["first_step_s"]) > 0
    assert (record["model"], record["batch_size"], record["precision"]) == ("nano", 4, "float32")
    assert any(path.is_file() for path in (tmp_path / "profile").rglob("*"))


def test_the_probe_lists_the_cpu_and_says_why_there_is_no_gpu():
    answer = probe()
    assert answer["backends"]["cpu"][0]["id"] == 0
    assert bool(answer["backends"]["gpu"]) != ("gpu" in answer["errors"])


@pytest.mark.skipif(bool(probe()["backends"]["gpu"]), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_what_is():
    with pytest.raises(DeviceError, match=r"no gpu device here\. Found: cpu:0"):
        select_device("gpu")


@pytest.mark.parametrize("decoding", [Decoding(max_new_tokens=80), DRAWN], ids=["greedy", "drawn"])
def test_a_text_is_told_in_pieces_that_make_up_the_whole(generator, decoding):
    _, generate, params = generator
    prompts = ["1+2*3", "4*7-2", "9"]
    told: dict[int, list[Any]] = {number: [] for number in range(3)}
    whole = generate(
        params,
        prompts,
        decoding=decoding,
        batch_size=2,
        on_text=lambda number, text: told[number].append(text),
    )
    assert whole == generate(params, prompts, decoding=decoding, batch_size=2)
    assert max(len(pieces) for pieces in told.values()) >= 2
    for number, text in enumerate(whole):
        pieces = told[number]
        assert pieces[0].tokens == 1
        assert pieces[-1].tokens == text.tokens
        for before, after in pairwise([*pieces, text]):
            assert after.text.startswith(before.text)
            assert after.tokens - before.tokens <= STRETCH


def test_a_stop_between_two_stretches_keeps_what_was_told(generator):
    _, generate, params = generator
    told: list[str] = []
    with pytest.raises(StopRequestedError):
        generate(
            params,
            ["1+2*3"],
            decoding=Decoding(max_new_tokens=200, temperature=1.0),
            batch_size=1,
            should_stop=lambda: bool(told),
            on_text=lambda _, text: told.append(text.text),
        )
    assert len(told) == 1
