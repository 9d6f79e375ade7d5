"""Measure a recipe's training speed on a device: its start, its steady steps, its parts and its limit."""

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.models import Dataset
from datasets_app.selectors import resolve_dataset
from runs import benchmarks, launching
from runs.benchmarks import regression, sweeps, telling
from runs.devices import Device
from runs.models import Benchmark, Run
from runs.selectors import live_workers
from runs.states import Kind, Status
from training.config import TrainConfig
from tunix_site.commands import add_flag
from tunix_site.errors import UserError

DEFAULT_STEPS = 30
# Starts of a recipe that a comparison measures, unless said otherwise.
COMPARED_REPEATS = 5
EXIT_REGRESSION = 3


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        launching.add_recipe_flags(parser)
        add_flag(parser, "--smoke-steps", type=launching.positive, metavar="N", help="the same as --steps")
        add_flag(
            parser,
            "--profile-dir",
            type=Path,
            metavar="D",
            help="write a jax.profiler trace of some steady steps",
        )
        add_flag(parser, "--output", type=Path, metavar="FILE", help="also write the JSON record here")
        add_flag(
            parser,
            "--compare-to",
            metavar="last|ID|NAME",
            help=f"measure {COMPARED_REPEATS} starts and exit 3 when they are slower than that benchmark's",
        )
        add_flag(parser, "--repeats", type=launching.positive, metavar="N", help="starts to measure")
        add_flag(
            parser,
            "--sweep",
            action="append",
            default=[],
            metavar="FIELD=V1,V2",
            help="measure each of these values; may be repeated, then each combination",
        )
        parser.add_argument(
            "--tolerance",
            type=_share,
            default=regression.TOLERANCE,
            metavar="SHARE",
            help="a change of the step time up to this share is none (%(default)s)",
        )
        add_flag(parser, "--only-steps", action="store_true", help="leave out the parts and generation")
        add_flag(parser, "--name", default="", help="a name to compare with later")
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        _refuse_what_does_not_go_together(options)
        dataset = resolve_dataset(address=options["dataset"]) if options["dataset"] else None
        if options["output"] and not options["output"].resolve().parent.is_dir():
            raise UserError(f"--output {options['output']}: its folder does not exist.")
        wanted = options["steps"] or options["smoke_steps"]
        configs = [
            launching.config_from_flags(
                {**options, "steps": wanted, "overrides": [*options["overrides"], *overrides]},
                steps=DEFAULT_STEPS,
            )
            for overrides in sweeps.combinations(options["sweep"])
        ]
        device = launching.device_from_flags(options)
        baseline = (
            benchmarks.find_baseline(options["compare_to"], model=configs[0].model, device_name=device.name)
            if options["compare_to"]
            else []
        )
        repeats = options["repeats"] or (COMPARED_REPEATS if baseline else 1)
        group = uuid.uuid4().hex if repeats * len(configs) > 1 else ""
        rows: list[Benchmark] = []
        for config in configs:
            for number in range(repeats):
                run = self._start(
                    config, device, dataset, options, group=group, first=number == 0, alone=not group
                )
                if options["detach"]:
                    return {"run_id": run.pk, "status": run.status}
                rows.append(self._row_of(run, sweep=len(configs) > 1))
                if not self.as_json:
                    telling.tell(rows[-1], self.say)
        record = self._answer(rows, baseline, options)
        if options["output"]:
            benchmarks.write_json(options["output"], record)
        return record

    def _start(
        self,
        config: TrainConfig,
        device: Device,
        dataset: Dataset | None,
        options: dict[str, Any],
        *,
        group: str,
        first: bool,
        alone: bool,
    ) -> Run:
        profile_dir = options["profile_dir"] if first else None
        run = self.create_run(
            kind=Kind.BENCH,
            config=config,
            device=device,
            dataset=dataset,
            total_steps=config.steps,
            params={
                "steps": config.steps,
                "profile_dir": str(profile_dir.resolve()) if profile_dir else "",
                "parts": (first or alone) and not options["only_steps"],
                "group": group,
            },
            name=options["name"],
        )
        foreground = options["foreground"] or not (options["detach"] or live_workers().exists())
        return self.carry_out(run, foreground=foreground, detach=options["detach"])

    def _row_of(self, run: Run, *, sweep: bool) -> Benchmark:
        """Give the benchmark of a run; in a sweep, one that failed is a row that says why."""
        if sweep and run.status == Status.FAILED:
            return benchmarks.store_failure(run, reason=run.reason)
        self.require_success(run)
        return Benchmark.objects.get(run=run)

    def _answer(
        self, rows: list[Benchmark], baseline: list[Benchmark], options: dict[str, Any]
    ) -> dict[str, Any]:
        if options["sweep"]:
            self.say(telling.table(rows))
            if all(row.failure for row in rows):
                self.failure = CommandError("No recipe of the sweep could be measured.", returncode=1)
            return {"group": rows[0].group, "sweep": [row.record for row in rows]}
        # The first holds the parts too.
        record: dict[str, Any] = rows[0].record
        if len(rows) > 1:
            record = {**record, "repeats": [row.pk for row in rows]}
        if baseline:
            record = {**record, "comparison": self._compare(rows, baseline, options["tolerance"])}
        return record

    def _compare(self, rows: list[Benchmark], baseline: list[Benchmark], tolerance: float) -> dict[str, Any]:
        for line in telling.other_recipe(rows[0], baseline[0]):
            self.say(f"Not the same recipe: {line}")
        found = benchmarks.compare_rows(rows, baseline, tolerance=tolerance)
        words = f"Against benchmark {_numbers(baseline)}: {found.in_words()}"
        if found.is_regression:
            self.failure = CommandError(f"Slower. {words}", returncode=EXIT_REGRESSION)
        self.say(words)
        return {
            "baseline_id": baseline[0].pk,
            "baseline_ids": [row.pk for row in baseline],
            **telling.facts(found),
        }


def _numbers(rows: list[Benchmark]) -> str:
    return ", ".join(str(row.pk) for row in rows)


def _refuse_what_does_not_go_together(options: dict[str, Any]) -> None:
    if options["smoke_steps"] is not None and options["steps"] is not None:
        raise CommandError("Give --steps or --smoke-steps, not both.", returncode=2)
    if options["sweep"] and options["compare_to"]:
        raise CommandError("--sweep measures several recipes; compare one of them.", returncode=2)
    if options["sweep"] and options["repeats"]:
        raise CommandError("Give --sweep or --repeats, not both.", returncode=2)
    several = options["sweep"] or options["compare_to"] or (options["repeats"] or 1) > 1
    if options["detach"] and several:
        raise CommandError(
            "--detach measures once; leave --repeats, --sweep and --compare-to out.", returncode=2
        )


def _share(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value
