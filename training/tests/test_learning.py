"""What the defaults are for: with its steps a small model learns to reckon, without them it does not."""

import pytest

pytestmark = [pytest.mark.jax, pytest.mark.long, pytest.mark.timeout(1800)]
pytest.importorskip("jax")

from training.config import make_config
from training.data import prompt_overlap
from training.device import select_device
from training.loop import train
from training.tests.support import MemoryRecorder, chain_examples, check_chain


@pytest.mark.parametrize(("target", "low", "high"), [("trace", 0.97, 1.0), ("answer", 0.0, 0.4)])
def test_traces_teach_what_answers_alone_do_not(tmp_path, cache_dir, target, low, high):
    examples = chain_examples(5600, length=8)
    assert prompt_overlap(examples[:5000], examples[5000:]) == 0
    result = train(
        config=make_config({"target": target, "eval_every_steps": 0}),
        train_examples=examples[:5000],
        test_examples=examples[5000:],
        recorder=MemoryRecorder(),
        checkpoint_dir=tmp_path,
        device=select_device("cpu"),
        checkers={"chain": check_chain},
        cache_dir=cache_dir,
    )
    assert result.evaluation is not None
    assert result.evaluation.n == 600
    assert low <= result.evaluation.answer_accuracy <= high
