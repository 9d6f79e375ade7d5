"""Measure a recipe's training speed on a device: compile, first step, steady steps."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.selectors import resolve_dataset
from runs import benchmarks, launching
from runs.models import Benchmark
from runs.selectors import live_workers
from runs.states import Kind
from tunix_site.commands import add_flag
from tunix_site.errors import UserError

DEFAULT_STEPS = 30
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
            help="exit 3 when clearly slower than that benchmark",
        )
        add_flag(parser, "--name", default="", help="a name to compare with later")
        launching.add_mode_flags(parser)

    def run(self, **options: Any) -> dict[str, Any] | None:
        if options["smoke_steps"] is not None and options["steps"] is not None:
            raise CommandError("Give --steps or --smoke-steps, not both.", returncode=2)
        dataset = resolve_dataset(address=options["dataset"]) if options["dataset"] else None
        if options["output"] and not options["output"].resolve().parent.is_dir():
            raise UserError(f"--output {options['output']}: its folder does not exist.")
        wanted = options["steps"] or options["smoke_steps"]
        config = launching.config_from_flags({**options, "steps": wanted}, steps=DEFAULT_STEPS)
        device = launching.device_from_flags(options)
        baseline = (
            benchmarks.find_baseline(options["compare_to"], model=config.model, device_name=device.name)
            if options["compare_to"]
            else None
        )
        profile_dir = options["profile_dir"]
        run = self.create_run(
            kind=Kind.BENCH,
            config=config,
            device=device,
            dataset=dataset,
            total_steps=config.steps,
            params={"steps": config.steps, "profile_dir": str(profile_dir.resolve()) if profile_dir else ""},
            name=options["name"],
        )
        foreground = options["foreground"] or not (options["detach"] or live_workers().exists())
        run = self.carry_out(run, foreground=foreground, detach=options["detach"])
        if options["detach"]:
            return {"run_id": run.pk, "status": run.status}
        self.require_success(run)
        row = Benchmark.objects.get(run=run)
        if options["output"]:
            benchmarks.write_json(options["output"], row.record)
        record: dict[str, Any] = row.record
        if baseline is not None:
            record = {**record, "comparison": self._compare(row, baseline)}
        if not self.as_json:
            self._tell(row)
        return record

    def _compare(self, row: Benchmark, baseline: Benchmark) -> dict[str, Any]:
        found = benchmarks.compare(row, baseline)
        if found.is_regression:
            self.failure = CommandError(
                f"Slower than benchmark {baseline.pk}: step time × {found.ratio:.3f}.",
                returncode=EXIT_REGRESSION,
            )
        self.say(f"Against benchmark {baseline.pk}: {found.verdict}, step time × {found.ratio:.3f}.")
        return {"baseline_id": found.baseline_id, "ratio": found.ratio, "verdict": found.verdict}

    def _tell(self, row: Benchmark) -> None:
        record, times = row.record, row.record["step_time"]
        self.say(
            f"Benchmark {row.pk}: {record['model']} on {row.device_name}, batch {row.batch_size}, "
            f"length {row.sequence_length}, {row.precision}"
        )
        self.say(
            f"  lowering {record['lowering_s']:.2f} s, compile {record['compile_s']:.2f} s, "
            f"first step {record['first_step_s']:.3f} s"
        )
        self.say(
            f"  steady step: median {times['median'] * 1e3:.2f} ms "
            f"(p10 {times['p10'] * 1e3:.2f}, p90 {times['p90'] * 1e3:.2f})"
        )
        self.say(
            f"  {record['steps_per_second']:.2f} steps/s, {record['examples_per_second']:,.0f} examples/s, "
            f"{record['tokens_per_second']:,.0f} tokens/s"
        )
        self.say(f"  written to {benchmarks.benchmark_path(row)}")
