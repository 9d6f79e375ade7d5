"""Loss and graded answers on held-out traces."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from training.assembly import Assembly, assemble
from training.checkpoint_store import restore_params
from training.checkpoints import read_metadata
from training.compile_cache import use_cache
from training.config import TrainConfig, make_config
from training.data import Rows, build_rows, choose_subset, longest_completion
from training.decoding import Decoding
from training.device import SelectedDevice
from training.errors import TrainingError
from training.examples import StepChecker, TraceExample
from training.generate import Generator, StopRequestedError
from training.grading import grade, step_accuracy, wilson_interval
from training.losses import chunked_cross_entropy, loss_chunk
from training.recorder import EvaluationReport, GradedSample, Recorder
from training.step import DeviceBatch, to_device


class Evaluator:
    """Evaluates one model on one split, always on the same examples for the same limit."""

    def __init__(
        self,
        assembly: Assembly,
        examples: Sequence[TraceExample],
        *,
        split: str,
        seed: int,
        train_prompts: frozenset[str] = frozenset(),
        checkers: Mapping[str, StepChecker] | None = None,
    ) -> None:
        """Prepare; raises ConfigError for no examples or rows that are too long."""
        config = assembly.config
        self._assembly, self._split, self._seed = assembly, split, seed
        self._examples, self._train_prompts, self._checkers = examples, train_prompts, checkers or {}
        # The rows of all examples share one width, so that every limit runs the same program.
        self._width = build_rows(
            examples, target=config.target, sequence_length=_longest(config), split=split
        ).width
        longest = longest_completion(examples, config.target)
        self._decoding = Decoding(max_new_tokens=config.max_new_tokens or longest + -(-longest // 4))
        self._generate = Generator(assembly)
        self._loss_of = jax.jit(self._batch_loss)

    def __call__(
        self,
        params: Any,
        *,
        step: int,
        limit: int,
        final: bool,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EvaluationReport:
        """Measure the loss, generate after each prompt, and grade what was written.

        Raises:
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        began = time.perf_counter()
        chosen = choose_subset(self._examples, limit=limit, seed=self._seed)
        loss = self._loss(params, chosen, should_stop)
        texts = self._generate(
            params,
            [example.prompt for example in chosen],
            decoding=self._decoding,
            batch_size=self._assembly.config.eval_batch_size,
            should_stop=should_stop,
        )
        samples = tuple(
            grade(example, text.text, finished=text.stopped_at_eos, checkers=self._checkers)
            for example, text in zip(chosen, texts, strict=True)
        )
        return self._report(
            samples=samples,
            loss=loss,
            step=step,
            final=final,
            seconds=time.perf_counter() - began,
            generated_tokens=sum(text.tokens for text in texts),
        )

    def _report(
        self,
        *,
        samples: tuple[GradedSample, ...],
        loss: float,
        step: int,
        final: bool,
        seconds: float,
        generated_tokens: int,
    ) -> EvaluationReport:
        correct, n = sum(sample.correct for sample in samples), len(samples)
        return EvaluationReport(
            step=step,
            split=self._split,
            n=n,
            correct=correct,
            loss=loss,
            answer_accuracy=correct / n,
            interval=wilson_interval(correct, n),
            step_accuracy=step_accuracy(samples),
            seconds=seconds,
            generated_tokens=generated_tokens,
            final=final,
            samples=samples,
            overlap=sum(sample.prompt in self._train_prompts for sample in samples),
        )

    def _loss(self, params: Any, chosen: Sequence[TraceExample], should_stop: Callable[[], bool]) -> float:
        config = self._assembly.config
        rows = build_rows(
            chosen,
            target=config.target,
            sequence_length=_longest(config),
            split=self._split,
            width=self._width,
        )
        size = min(config.eval_batch_size, 1 << (len(rows) - 1).bit_length())
        total = weight = 0.0
        for start in range(0, len(rows), size):
            if should_stop():
                raise StopRequestedError
            part = self._loss_of(params, self._padded_batch(rows, start, size))
            part_total, part_weight = jax.device_get(part)
            total, weight = total + float(part_total), weight + float(part_weight)
        return total / weight

    def _padded_batch(self, rows: Rows, start: int, size: int) -> DeviceBatch:
        """Cut rows from ``start``; the last batch is filled up with row 0 at weight 0."""
        indices = np.arange(start, start + size)
        batch = rows.batch(np.where(indices < len(rows), indices, 0))
        batch.weights[indices >= len(rows)] = 0.0
        return to_device(batch, self._assembly.device)

    def _batch_loss(self, params: Any, batch: DeviceBatch) -> tuple[jax.Array, jax.Array]:
        config, shape = self._assembly.config, self._assembly.shape
        model = self._assembly.model(params)
        sums = chunked_cross_entropy(
            model.features(batch.inputs),
            model.output_matrix(),
            batch.targets,
            batch.weights,
            chunk=loss_chunk(config.loss_chunk, shape.vocab_size, batch.inputs.size),
            soft_cap=shape.final_soft_cap,
        )
        return sums.loss, sums.weight


def _longest(config: TrainConfig) -> int | None:
    """Bound held-out traces as training does, except that none is cut or left out: the loss is of all."""
    return config.sequence_length if config.long_traces == "refuse" else None


def report_metrics(report: EvaluationReport) -> dict[str, float]:
    """Name the report's figures as metrics; a step accuracy only where steps were checked."""
    values = {"eval/loss": report.loss, "eval/answer_accuracy": report.answer_accuracy}
    if report.step_accuracy is not None:
        values["eval/step_accuracy"] = report.step_accuracy
    return values


def evaluate_checkpoint(
    *,
    step_dir: Path,
    examples: Sequence[TraceExample],
    split: str,
    limit: int,
    seed: int,
    device: SelectedDevice,
    recorder: Recorder,
    checkers: Mapping[str, StepChecker] | None = None,
    cache_dir: Path | None = None,
    train_prompts: frozenset[str] = frozenset(),
) -> EvaluationReport:
    """Grade a checkpoint on examples, with the recipe it was trained with, and record the report.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ConfigError: when there are no examples, or rows are too long for the recipe.
        TrainingError: when a stop was asked for before the end.
    """
    use_cache(cache_dir)
    metadata = read_metadata(step_dir)
    step, config = int(metadata["step"]), make_config(metadata["config"])
    recorder.phase("evaluating", step)
    with jax.default_device(device.device):
        assembly = assemble(config, device.device)
        evaluator = Evaluator(
            assembly, examples, split=split, seed=seed, train_prompts=train_prompts, checkers=checkers
        )
        params = restore_params(step_dir, assembly=assembly)
        try:
            report = evaluator(params, step=step, limit=limit, final=True, should_stop=recorder.should_stop)
        except StopRequestedError:
            raise TrainingError("The evaluation was stopped before its end; nothing was recorded.") from None
    recorder.evaluation(report)
    return report
