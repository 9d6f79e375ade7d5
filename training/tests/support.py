"""A small family of traces and a recorder in memory, shared by the tests of this package."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.config import TrainConfig, make_config
from training.examples import TraceExample
from training.loop import train
from training.recorder import CheckpointInfo, EvaluationReport, Phase
from training.session import TrainResult

FAST = {
    "model": "nano",
    "batch_size": 4,
    "eval_batch_size": 8,
    "eval_limit": 4,
    "final_eval_limit": 8,
    "eval_every_steps": 0,
    "save_every_steps": 0,
    "max_new_tokens": 24,
}
_FACTORS = {"+": range(10), "-": range(10), "*": (1, 2, 3, 7, 9)}


def fast_config(**changes: Any) -> TrainConfig:
    return make_config({**FAST, **changes})


def chain_examples(count: int, *, seed: int = 0, length: int = 3) -> list[TraceExample]:
    """Distinct chains modulo ten: a digit, then operators with digits, worked off left to right."""
    source, found = random.Random(seed), dict[str, TraceExample]()
    while len(found) < count:
        value = source.randrange(10)
        prompt, steps = str(value), []
        for _ in range(length):
            operator = source.choice("+-*")
            factor = source.choice(tuple(_FACTORS[operator]))
            result = _apply(value, operator, factor)
            steps.append(f"{value}{operator}{factor}={result}")
            prompt, value = prompt + operator + str(factor), result
        found[prompt] = TraceExample(f"{len(found):064x}", prompt, tuple(steps), str(value), "chain")
    return list(found.values())


def check_chain(_prompt: str, steps: Sequence[str]) -> list[bool | None]:
    return [
        len(step) == 5
        and step[0].isdigit()
        and step[1] in _FACTORS
        and step[2].isdigit()
        and step[3:] == f"={_apply(int(step[0]), step[1], int(step[2]))}"
        for step in steps
    ]


def _apply(value: int, operator: str, factor: int) -> int:
    return {"+": value + factor, "-": value - factor, "*": value * factor}[operator] % 10


class MemoryRecorder:
    """Keeps everything that is recorded; asks for a stop at a call of ``should_stop`` or in a phase."""

    def __init__(self, *, stop_at_call: int | None = None, stop_in_phase: Phase | None = None) -> None:
        self.stop_at_call, self.stop_in_phase, self.calls = stop_at_call, stop_in_phase, 0
        self.phases: list[tuple[str, int]] = []
        self.points: list[tuple[int, dict[str, float]]] = []
        self.checkpoints: list[CheckpointInfo] = []
        self.evaluations: list[EvaluationReport] = []
        self.gone: list[tuple[int, str, int]] = []
        self.resumes: list[int] = []
        self.inexact = ""
        self.facts: dict[str, Any] = {}
        self.messages: list[str] = []

    def phase(self, name: Phase, step: int) -> None:
        self.phases.append((name, step))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        assert all(type(value) is float for value in values.values())
        self.points.append((step, dict(values)))

    def checkpoint(self, info: CheckpointInfo) -> None:
        assert Path(info.path).is_dir()
        self.checkpoints.append(info)

    def evaluation(self, report: EvaluationReport) -> None:
        self.evaluations.append(report)

    def checkpoint_gone(self, step: int, path: str, why: str, freed_bytes: int = 0) -> None:
        self.gone.append((step, why, freed_bytes))

    def resumed(self, step: int, inexact: str = "") -> None:
        self.resumes.append(step)
        self.inexact = inexact

    def provenance(self, facts: Mapping[str, Any]) -> None:
        self.facts = dict(facts)

    def log(self, message: str) -> None:
        self.messages.append(message)

    def should_stop(self) -> bool:
        self.calls += 1
        if self.stop_at_call is not None and self.calls >= self.stop_at_call:
            return True
        return self.stop_in_phase is not None and self.phases[-1][0] == self.stop_in_phase

    def series(self, name: str) -> list[tuple[int, float]]:
        return [(step, values[name]) for step, values in self.points if name in values]

    def exact_history(self) -> list[tuple[int, str, float]]:
        """Everything recorded that must be equal to the bit, that is all but times."""
        timed = {"train/step_time", "train/tokens_per_second"}
        return [
            (step, name, value)
            for step, values in self.points
            for name, value in values.items()
            if name not in timed and not name.startswith("system/")
        ]


class StopAfter(MemoryRecorder):
    """Asks for a stop when the given number of updates was started, whatever is asked next."""

    def __init__(self, updates: int) -> None:
        super().__init__()
        self.updates, self.asked_before_updates = updates, 0

    def should_stop(self) -> bool:
        # While it trains, the loop asks once before each update.
        if self.phases[-1][0] == "training":
            self.asked_before_updates += 1
            return self.asked_before_updates > self.updates
        return self.asked_before_updates >= self.updates


def run_training(
    config: TrainConfig,
    root: Path,
    cache_dir: Path,
    *,
    recorder: MemoryRecorder | None = None,
    resume_from: Path | None = None,
    metadata: Mapping[str, Any] | None = None,
    train_count: int = 40,
    test_count: int = 0,
    allow_inexact: bool = False,
    profile: tuple[int, int, Path] | None = None,
) -> tuple[TrainResult, MemoryRecorder]:
    from training.device import select_device

    recorder = recorder or MemoryRecorder()
    examples = chain_examples(train_count + test_count)
    result = train(
        config=config,
        train_examples=examples[:train_count],
        test_examples=examples[train_count:],
        recorder=recorder,
        checkpoint_dir=root,
        device=select_device("cpu"),
        resume_from=resume_from,
        checkers={"chain": check_chain},
        metadata=metadata,
        cache_dir=cache_dir,
        allow_inexact=allow_inexact,
        profile=profile,
    )
    return result, recorder
