"""Loss and graded answers on held-out traces."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from training.assembly import Assembly, assemble
from training.checkpoint_store import restore_params
from training.checkpoints import read_metadata
from training.compile_cache import use_cache
from training.config import make_config
from training.data import choose_subset, longest_completion
from training.decoding import GeneratedText, make_decoding
from training.device import SelectedDevice
from training.errors import EvaluationStoppedError
from training.evaluation.generating import Keeping, write_all
from training.evaluation.held_out_loss import HeldOutLoss
from training.examples import StepChecker, TraceExample
from training.generate import Generator, StopRequestedError
from training.grading import DEFAULT, find_grader, grade, summarise
from training.grading.figures import by_prompt, majority_sample
from training.recorder import EvaluationReport, GradedSample, Recorder


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
        grader: str = DEFAULT,
    ) -> None:
        """Prepare; ``seed`` chooses the examples.

        Raises:
            ConfigError: for no examples, rows that are too long, or a grader that there is not.
        """
        config = assembly.config
        self._assembly, self._split, self._seed = assembly, split, seed
        self._examples, self._train_prompts, self._checkers = examples, train_prompts, checkers or {}
        self._grader = find_grader(grader)
        self._loss = HeldOutLoss(assembly, examples, split=split)
        longest = longest_completion(examples, config.target, assembly.form)
        self._room = config.max_new_tokens or longest + -(-longest // 4)
        self._generate = Generator(assembly)

    def __call__(
        self,
        params: Any,
        *,
        step: int,
        limit: int,
        final: bool,
        should_stop: Callable[[], bool] = lambda: False,
        decoding: Mapping[str, Any] | None = None,
        keeping: Keeping | None = None,
    ) -> EvaluationReport:
        """Measure the loss, generate after each prompt, and grade what was written.

        ``decoding`` sets what is not to be greedy, or longer than a quarter above the longest expected
        text; ``keeping`` names a file from which this goes on where it was cut off.

        Raises:
            ConfigError: for settings of generation that do not go together.
            StopRequestedError: as soon as ``should_stop`` is true.
        """
        began = time.perf_counter()
        settings = make_decoding({"max_new_tokens": self._room, **(decoding or {})})
        chosen = choose_subset(self._examples, limit=limit, seed=self._seed)
        loss = self._loss(params, chosen, should_stop)
        written = write_all(
            self._generate,
            params,
            [example.prompt for example in chosen],
            decoding=settings,
            assembly=self._assembly,
            should_stop=should_stop,
            keeping=keeping,
        )
        samples = self._grade(chosen, written.texts, settings.samples)
        figures = summarise(samples, grader=self._grader)
        return EvaluationReport(
            step=step,
            split=self._split,
            n=figures.n,
            correct=figures.correct,
            loss=loss,
            answer_accuracy=figures.answer_accuracy,
            interval=figures.interval,
            step_accuracy=figures.step_accuracy,
            seconds=time.perf_counter() - began + written.earlier_seconds,
            generated_tokens=figures.tokens,
            final=final,
            samples=samples,
            overlap=sum(example.prompt in self._train_prompts for example in chosen),
            grader=self._grader.name,
            grader_version=self._grader.version,
            decoding=settings.model_dump(),
            limit=limit,
            subset_seed=self._seed,
            draws=figures.draws,
            pass_at=figures.pass_at,
            majority_accuracy=figures.majority_accuracy,
            format_rate=figures.format_rate,
            right_with_invalid_step=figures.right_with_invalid_step,
            generation_seconds=written.seconds,
            results_hash=figures.results_hash,
        )

    def _grade(
        self, chosen: Sequence[TraceExample], texts: Sequence[GeneratedText], draws: int
    ) -> tuple[GradedSample, ...]:
        samples = [
            grade(
                chosen[number // draws],
                text.text,
                finished=text.stopped_at_eos,
                checkers=self._checkers,
                grader=self._grader,
                draw=number % draws,
                tokens=text.tokens,
                parse=self._assembly.form.parse,
            )
            for number, text in enumerate(texts)
        ]
        return tuple(samples) if draws == 1 else self._with_majority(samples)

    def _with_majority(self, samples: Sequence[GradedSample]) -> tuple[GradedSample, ...]:
        """Say on the first text of each prompt whether the commonest answer of its texts is right."""
        marked: list[GradedSample] = []
        for first, *others in by_prompt(samples):
            chosen = majority_sample([first, *others], self._grader)
            marked += [replace(first, majority_correct=chosen is not None and chosen.correct), *others]
        return tuple(marked)


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
    grader: str = DEFAULT,
    decoding: Mapping[str, Any] | None = None,
    keep_in: Path | None = None,
) -> EvaluationReport:
    """Grade a checkpoint on examples, with the recipe it was trained with, and record the report.

    ``seed`` chooses the examples; ``decoding`` is as for `Evaluator`; what was generated is kept in the
    file ``keep_in``, and the same evaluation goes on from there. The steps that the recorder hears of
    count graded prompts.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ConfigError: when there are no examples, rows are too long for the recipe, or settings do not fit.
        EvaluationStoppedError: when a stop was asked for before the end.
    """
    use_cache(cache_dir)
    metadata = read_metadata(step_dir)
    step, config = int(metadata["step"]), make_config(metadata["config"])
    recorder.phase("evaluating", 0)
    with jax.default_device(device.device):
        assembly = assemble(config, device.device)
        evaluator = Evaluator(
            assembly,
            examples,
            split=split,
            seed=seed,
            train_prompts=train_prompts,
            checkers=checkers,
            grader=grader,
        )
        params = restore_params(step_dir, assembly=assembly)
        keeping = Keeping(keep_in, {"checkpoint": metadata["files"]}, recorder) if keep_in else None
        try:
            report = evaluator(
                params,
                step=step,
                limit=limit,
                final=True,
                should_stop=recorder.should_stop,
                decoding=decoding,
                keeping=keeping,
            )
        except StopRequestedError:
            raise EvaluationStoppedError(
                "The evaluation was stopped before its end; nothing was recorded."
            ) from None
    recorder.evaluation(report)
    return report
