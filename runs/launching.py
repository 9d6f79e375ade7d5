"""How commands start a run: the shared flags, the frozen config, the queue or the foreground."""

import contextlib
import shlex
import signal
import sys
from typing import Any

from django.core.management.base import CommandError

from runs import services
from runs.creating import create_run
from runs.devices import Device, resolve_device
from runs.follow import Follower
from runs.foreground import SupervisorThread
from runs.models import Run
from runs.promotion.following import look_and_follow
from runs.reaper import reap_here
from runs.selectors import live_workers
from runs.states import Kind, Status
from training.config import TrainConfig, make_config, parse_overrides
from training.errors import ConfigError
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import InvalidInputError, UserError

SMOKE_EVAL_TRACES = 32
START_WORKER = "Start one in another terminal with `make worker`, or add --foreground."


def add_device_flags(parser: Any) -> None:
    """Add ``--device`` and ``--device-index``."""
    add_flag(parser, "--device", choices=["cpu", "gpu"], help="default: a usable GPU, else the CPU")
    add_flag(parser, "--device-index", type=natural, metavar="N", help="which GPU, as `devices` lists them")


def add_recipe_flags(parser: Any) -> None:
    """Add the flags that choose dataset and recipe, and the device."""
    add_flag(parser, "--dataset", metavar="KEY", help="dataset key, or KEY@HASHPREFIX for one content of it")
    add_device_flags(parser)
    add_flag(parser, "--steps", type=positive, metavar="N", help="optimizer updates")
    add_flag(parser, "--model", metavar="NAME", help="model preset, or an imported base model")
    add_flag(
        parser,
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="FIELD=VALUE",
        help="set any field of the training config; may be repeated",
    )


def add_mode_flags(parser: Any) -> None:
    """Add ``--foreground`` and ``--detach``."""
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--foreground", action="store_true", help="supervise the run here, without a worker")
    mode.add_argument("--detach", action="store_true", help="enqueue and return at once")


def natural(text: str) -> int:
    """Read a whole number from 0 on (argparse type)."""
    return _whole(text, 0)


def positive(text: str) -> int:
    """Read a whole number from 1 on (argparse type)."""
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    from argparse import ArgumentTypeError

    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value < 2**31:
        raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {2**31 - 1}")
    return value


def smoke_fields(steps: int) -> dict[str, int]:
    """Give the config fields of a short trial of ``steps`` updates."""
    return {
        "steps": steps,
        "warmup_steps": min(100, steps // 10),
        "eval_every_steps": 0,
        "final_eval_limit": SMOKE_EVAL_TRACES,
    }


def config_from_flags(options: dict[str, Any], **defaults: Any) -> TrainConfig:
    """Build the frozen config from ``--set``, ``--steps`` and ``--model``; none may be given twice."""
    try:
        values: dict[str, Any] = dict(parse_overrides(options["overrides"]))
        for field in ("steps", "model"):
            if options.get(field) is not None:
                if field in values:
                    raise ConfigError(f"{field} is given by --{field} and by --set; give it once.")
                values[field] = options[field]
        return make_config({**defaults, **values})
    except ConfigError as error:
        raise InvalidInputError(str(error)) from error


def device_from_flags(options: dict[str, Any]) -> Device:
    """Choose the device that the flags ask for."""
    return resolve_device(kind=options["device"], index=options["device_index"])


def command_line() -> str:
    """Give the command that this process was started with, as a shell reads it."""
    return shlex.join(["manage.py", *sys.argv[1:]])


def require_worker(run_what: str) -> None:
    """Raise a clear error where no worker would take the run up."""
    if not live_workers().exists():
        raise UserError(f"No worker is running, so {run_what} would wait for ever.", hint=START_WORKER)


class RunCommand(TunixCommand):
    """A command whose work is a run."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark runs lost that died with their supervisor, for they hold the device; then work."""
        reap_here()
        super().handle(*args, **options)

    def create_run(self, **facts: Any) -> Run:
        """Write a draft that remembers this command line; takes what `creating.create_run` takes."""
        return create_run(origin=command_line(), **facts)

    def carry_out(
        self,
        run: Run,
        *,
        foreground: bool,
        detach: bool = False,
        resume_path: str | None = None,
        allow_inexact: bool = False,
    ) -> Run:
        """Queue the run, supervise it here if wanted, and follow it to its end.

        ``resume_path`` not None: take an interrupted run up, from that checkpoint if it is not empty,
        with ``allow_inexact`` also where that does not give the same bits.

        Raises:
            UserError: when its device is taken (foreground), with the run left queued by nobody.
        """
        if resume_path is None:
            services.enqueue_run(run, deliver=not foreground)
        else:
            services.resume_run(
                run, deliver=not foreground, resume_path=resume_path, allow_inexact=allow_inexact
            )
            run.refresh_from_db()
        if detach:
            self.say(f"Run {run.pk} is queued.")
            if not live_workers().exists():
                self.say("No worker is running yet; it starts when one does (`make worker`).")
            return run
        if not foreground:
            return self.follow(run)
        thread = SupervisorThread(run.pk, run.attempt)
        thread.start()
        follower = Follower(run, check=lambda: _check(thread, run))
        before = signal.signal(signal.SIGTERM, follower.terminate)
        try:
            run = follower.follow()
        finally:
            signal.signal(signal.SIGTERM, before)
        thread.join()
        _check(thread, run)
        if not live_workers().exists():
            look_and_follow(rows=run.made_evaluations.filter(superseded=False))
        return run

    def follow(self, run: Run) -> Run:
        """Show a run that somebody else supervises until it ends."""
        return Follower(run).follow()

    def require_success(self, run: Run, *, also: frozenset[Status] = frozenset()) -> None:
        """End the command with 1 and one message where the run did not complete.

        With ``also`` (states that are no failure) the result is printed before the command ends.
        """
        if run.status == Status.COMPLETED or run.status in also:
            return
        reason = f": {run.reason.rstrip('.')}" if run.reason else ""
        log = run.attempt_directory(run.attempt) / "log.txt"
        self.failure = CommandError(
            f"Run {run.pk} {run.status} at step {run.step}{reason}. Its log: {log}", returncode=1
        )
        if not also:
            raise self.failure


def _check(thread: SupervisorThread, run: Run) -> None:
    """Pass on what went wrong in the supervising thread, and leave no queued run behind."""
    if thread.error is None:
        return
    with contextlib.suppress(Exception):
        services.fail_queued(run_id=run.pk, attempt=run.attempt, reason=str(thread.error))
    if isinstance(thread.error, services.DeviceBusyError):
        raise UserError(
            f"Run {run.pk} cannot start: {thread.error}.",
            hint=f"When it is free: manage.py train --resume-from {run.pk} --foreground."
            if run.kind == Kind.TRAIN
            else f"When it is free: manage.py evaluate {run.pk} --resume --foreground."
            if run.kind == Kind.EVALUATE
            else "Try again when it is free, or queue it with `make worker`.",
        )
    raise thread.error
