"""The work of an attempt, by kind of run: what is read, what is called in the training core, what it says."""

import contextlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.db import connections

from datasets_app.generators import checkers
from datasets_app.manifest import describe
from datasets_app.models import Dataset
from runs import nvml
from runs.benchmarks.profiles import profile_folder
from runs.evaluations.asking import grader_of
from runs.examples import load_examples, synthetic_examples
from runs.journal import JournalRecorder
from runs.models import Attempt, Run
from runs.patience import patiently
from runs.states import Kind
from training.config import TrainConfig
from training.decoding import Decoding, make_decoding
from training.errors import EvaluationStoppedError
from training.examples import TraceExample

# The texts of an evaluation, in its run's folder; see `training.evaluation.written`.
GENERATED_NAME = "generated.jsonl"


class Job:
    """The work of one attempt, inside its child process. JAX is loaded by what it calls."""

    def __init__(self, run: Run, attempt: Attempt, recorder: JournalRecorder) -> None:
        self.run, self.attempt, self.recorder = run, attempt, recorder
        self.config = TrainConfig.model_validate(run.config)
        self.examples: dict[str, list[TraceExample]] = {}

    def carry_out(self) -> dict[str, Any]:
        """Read the data and do the work; give the facts of the attempt's last word."""
        work: dict[str, Callable[[], dict[str, Any]]] = {
            Kind.TRAIN: self._train,
            Kind.EVALUATE: self._evaluate,
            Kind.GENERATE: self._generate,
            Kind.BENCH: self._bench,
            Kind.PLAYGROUND: self._playground,
        }
        patiently(self._load_data)
        return work[self.run.kind]()

    def _load_data(self) -> None:
        """Read the traces that this kind of run needs, then leave the database."""
        run = self.run
        if run.kind == Kind.TRAIN and run.dataset:
            _copy_manifest(run.dataset, run.directory / "dataset-manifest.json")
            self.examples = {split: load_examples(run.dataset, split) for split in ("train", "test")}
        elif run.kind == Kind.EVALUATE and run.dataset:
            split = run.params["split"]
            self.examples = {split: load_examples(run.dataset, split)}
        elif run.kind == Kind.BENCH:
            self.examples = {
                "train": load_examples(run.dataset, "train") if run.dataset else synthetic_examples()
            }
        self.content_hash = run.dataset.content_hash if run.dataset else ""
        self.dataset_key = run.dataset.key if run.dataset else ""
        self.default_grader = grader_of(self.config, run.dataset)
        self.parent_id = run.parent_id
        connections.close_all()

    def _select_device(self) -> Any:
        from training import device

        run = self.run
        kind: Literal["cpu", "gpu"] = "gpu" if run.device_kind == "gpu" else "cpu"
        return device.select_device(kind, physical_index=run.device_index, uuid=run.device_uuid)

    def _record_provenance(self, selected: Any) -> None:
        """Record where a job other than training runs; training records it with what it chose."""
        from training import provenance

        self.recorder.provenance(
            provenance.collect(
                selected,
                config=self.config,
                dataset_key=self.dataset_key,
                content_hash=self.content_hash,
                argv=sys.argv,
            )
        )

    def _train(self) -> dict[str, Any]:
        from training import loop

        run = self.run
        selected = self._select_device()
        root = Path(run.checkpoint_dir)
        resume_from = self._resume_point(self._newest_sound(root))
        if resume_from is None:
            # Also what an earlier attempt recorded without a checkpoint is overtaken.
            self.recorder.resumed(0)
        result = loop.train(
            config=self.config,
            train_examples=self.examples["train"],
            test_examples=self.examples["test"],
            recorder=self.recorder,
            checkpoint_dir=root,
            device=selected,
            resume_from=resume_from,
            checkers=checkers(),
            metadata={
                "run_id": run.pk,
                "run_uid": str(run.uid),
                "attempt": self.attempt.number,
                "dataset_key": self.dataset_key,
                "content_hash": self.content_hash,
            },
            cache_dir=_cache_dir(),
            allow_inexact=run.params.get("allow_inexact") == self.attempt.number,
            stop_after=run.params.get("to_step"),
            grader=self.default_grader,
            profile=(*window, profile_folder(run)) if (window := run.params.get("profile_steps")) else None,
        )
        return {
            "status": result.status,
            "step": result.step,
            "final_loss": result.final_loss,
            "params_hash": result.params_hash,
            "reason": _how_stopped(result) if result.status == "stopped" else "",
        }

    def _newest_sound(self, root: Path) -> Path | None:
        """Find the newest checkpoint that is sound; newer damaged or foreign ones are named and set aside."""
        from training import checkpoints

        found, damaged = checkpoints.set_aside_damaged(root, run_uid=str(self.run.uid))
        for step, what in damaged.items():
            self.recorder.log(f"Warning: {what}")
            self.recorder.checkpoint_gone(step, str(root / str(step)), f"damaged: {what}")
        if damaged:
            instead = f"the checkpoint of step {found.name}" if found else "step 0"
            self.recorder.log(f"Going on from {instead} instead.")
        return found

    def _resume_point(self, newest: Path | None) -> Path | None:
        """Give the checkpoint to start from: the one named for this attempt, else the run's newest.

        A run that began from another's checkpoint goes back there while it has none of its own.
        """
        named = Path(self.run.resume_path) if self.run.resume_path else None
        if named and (self.run.resume_attempt == self.attempt.number or newest is None):
            return named
        return newest

    def _evaluate(self) -> dict[str, Any]:
        from training import evaluate

        params = self.run.params
        selected = self._select_device()
        self._record_provenance(selected)
        try:
            report = evaluate.evaluate_checkpoint(
                step_dir=Path(params["step_dir"]),
                examples=self.examples[params["split"]],
                split=params["split"],
                limit=params["limit"],
                # One written before these could be chosen still runs.
                seed=params.get("subset_seed", self.config.seed),
                grader=params.get("grader", self.default_grader),
                decoding=params.get("decoding", {}),
                device=selected,
                recorder=self.recorder,
                checkers=checkers(),
                cache_dir=_cache_dir(),
                keep_in=self.run.directory / GENERATED_NAME,
            )
        except EvaluationStoppedError:
            return {
                "status": "stopped",
                "step": self.recorder.current_step,
                "reason": "stopped; what it wrote is kept for a resume",
            }
        return {"status": "completed", "step": report.n}

    def _generate(self) -> dict[str, Any]:
        from training import generate

        params = self.run.params
        # Only the settings that the run names: one written before a setting existed still runs.
        decoding = make_decoding({name: params[name] for name in Decoding.model_fields if name in params})
        self.recorder.phase("generating", params["step"])
        selected = self._select_device()
        self._record_provenance(selected)
        texts = generate.generate_text(
            step_dir=Path(params["step_dir"]),
            prompts=[params["prompt"]],
            decoding=decoding,
            device=selected,
            cache_dir=_cache_dir(),
        )
        found = [asdict(text) for text in texts]
        # The first one also by itself, for readers that expect a single text.
        return {"status": "completed", "step": params["step"], "result": {**found[0], "texts": found}}

    def _playground(self) -> dict[str, Any]:
        from runs.playground.serving import Server
        from training.serving import Models

        selected = self._select_device()
        self._record_provenance(selected)
        return Server(self.run, self.attempt, self.recorder, Models(selected, cache_dir=_cache_dir())).serve()

    def _bench(self) -> dict[str, Any]:
        from training.bench import measure

        params = self.run.params
        selected = self._select_device()
        self._record_provenance(selected)
        with nvml.opened() as driver:
            record = measure.bench(
                config=self.config,
                examples=self.examples["train"],
                device=selected,
                recorder=self.recorder,
                steps=params["steps"],
                profile_dir=Path(params["profile_dir"]) if params.get("profile_dir") else None,
                cache_dir=_cache_dir(),
                parts=params.get("parts", True),
                energy=partial(_energy, driver, selected.uuid),
            )
        return {"status": "completed", "step": params["steps"], "result": record}


def _copy_manifest(dataset: Dataset, path: Path) -> None:
    """Keep what the dataset was beside the run, for the dataset's own folder follows its newest content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(describe(dataset), indent=2, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(path)


def _energy(driver: Any, uuid: str) -> float | None:
    """Read the card's energy counter in joules; None on a CPU and where it has none."""
    if driver is None or not uuid:
        return None
    with contextlib.suppress(nvml.CardLostError):
        handle = nvml.handle_of(driver, uuid)
        return None if handle is None else nvml.energy(driver, handle)
    return None


def _how_stopped(result: Any) -> str:
    if result.saved_step == result.step:
        return "stopped with a checkpoint"
    return f"stopped; its newest checkpoint is of step {result.saved_step}, for the disk has no room"


def _cache_dir() -> Path:
    return Path(settings.TUNIX_ARTIFACTS_DIR) / "cache"
