"""``control``: start, stop, resume, move, delete … runs, in the words of `runs.verbs`."""

import sys
from typing import Any, get_args

from django.core.management.base import CommandError, CommandParser

from runs.queueing import Where
from runs.selectors import get_run
from runs.verbs import VERBS, Verb, perform, verb_named
from training.config import parse_overrides
from training.errors import ConfigError
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import UserError

# By flag: the argument of the verb that it gives.
FLAGS = {
    "--step": "step",
    "--set": "changes",
    "--name": "name",
    "--to": "where",
    "--allow-inexact": "allow_inexact",
    "--draft": "start",
    "--tag": "tags",
}


class Command(TunixCommand):
    help = "Do something to runs: " + "; ".join(f"{verb.word}: {verb.about}" for verb in VERBS.values()) + "."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("verb", choices=[verb.word for verb in VERBS.values()], metavar="VERB")
        parser.add_argument("runs", nargs="+", metavar="RUN", help="numbers; priority: its value comes last")
        add_flag(parser, "--step", type=int, metavar="N", help="fork, pin, unpin: the checkpoint's step")
        add_flag(
            parser,
            "--set",
            action="append",
            dest="changes",
            metavar="FIELD=VALUE",
            help="clone, fork: another value of a field of the recipe; may be repeated",
        )
        add_flag(parser, "--name", metavar="TEXT", help="clone, fork: name of the new run")
        add_flag(
            parser,
            "--to",
            dest="where",
            choices=list(get_args(Where)),
            help="move: where in the queue it goes",
        )
        add_flag(
            parser,
            "--allow-inexact",
            action="store_true",
            default=None,
            help="resume: also where that does not give the same bits",
        )
        add_flag(
            parser,
            "--draft",
            action="store_false",
            default=None,
            dest="start",
            help="fork: leave the new run a draft",
        )
        add_flag(
            parser,
            "--tag",
            action="append",
            dest="tags",
            metavar="TAG",
            help="tag, untag: a tag; may be repeated",
        )
        add_flag(parser, "--yes", action="store_true", help="delete: do not ask")

    def run(self, **options: Any) -> dict[str, Any]:
        verb, numbers = verb_named(options["verb"]), list(options["runs"])
        arguments = _arguments(verb, options, numbers)
        if verb.final and not options["yes"]:
            self._ask(verb, numbers)
        results = [self._one(verb, number, arguments) for number in numbers]
        failed = [one for one in results if not one["ok"]]
        if failed:
            self.failure = CommandError(
                f"{len(failed)} of {len(results)} failed; each line above says why.", returncode=1
            )
        return {"verb": verb.word, "ok": not failed, "runs": results}

    def _ask(self, verb: Verb, numbers: list[str]) -> None:
        named = f"run{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
        if not sys.stdin.isatty():
            raise UserError(f"{verb.label} {named}? Nobody can be asked here.", hint="Add --yes.")
        self.stderr.write(f"{verb.loses}\n{verb.label} {named}? Write yes: ", lambda plain: plain, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() != "yes":
            raise UserError("Nothing was done.")

    def _one(self, verb: Verb, number: str, arguments: dict[str, Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {"run_id": int(number) if number.isdecimal() else number}
        try:
            outcome = perform(verb, get_run(run_id=number), **arguments)
        except UserError as error:
            self.say(f"{number}: FAILED: {error}")
            return {**facts, "ok": False, "message": str(error)}
        self.say(f"{number}: {outcome.text}")
        facts |= {"ok": True, "message": outcome.text}
        if outcome.run is not None:
            facts["status"] = outcome.run.status
            if outcome.run.pk != facts["run_id"]:
                facts["made"] = outcome.run.pk
        if outcome.freed_bytes is not None:
            facts["freed_bytes"] = outcome.freed_bytes
        return facts


def _arguments(verb: Verb, options: dict[str, Any], numbers: list[str]) -> dict[str, Any]:
    """Gather what the verb takes; for the priority it is taken from the end of ``numbers``.

    Raises:
        CommandError: wrong use (exit 2).
    """
    given = {name: options[name] for name in FLAGS.values() if options[name] is not None}
    if "priority" in verb.takes:
        text = numbers.pop()
        if not numbers or not text.removeprefix("-").isdecimal():
            raise CommandError(
                "priority: write the run, then its priority: control priority 7 5", returncode=2
            )
        given["priority"] = int(text[:12])
    for flag, name in FLAGS.items():
        if name in given and name not in verb.takes:
            raise CommandError(f"{verb.word} takes no {flag}.", returncode=2)
        if name in verb.needs and name not in given:
            raise CommandError(f"{verb.word} needs {flag}.", returncode=2)
    if "changes" in given:
        try:
            given["changes"] = parse_overrides(given["changes"])
        except ConfigError as error:
            raise UserError(str(error)) from error
    if "origin" in verb.takes:
        given["origin"] = " ".join(["manage.py control", verb.word, *numbers])
    return given
