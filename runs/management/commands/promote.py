"""Point a name, such as production, at a checkpoint of a run; or let the name go."""

from getpass import getuser
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs.promotion.moving import let_go, promote
from runs.promotion.names import scope_of
from runs.promotion.schemas import AliasOut
from runs.selectors import find_checkpoint, get_run
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run_id", nargs="?", metavar="RUN", help="number of a training run")
        add_flag(parser, "--checkpoint", default="latest", metavar="latest|best|STEP|ALIAS")
        add_flag(
            parser, "--as", dest="name", required=True, metavar="NAME", help="best, production, or an own one"
        )
        add_flag(parser, "--scope", default="", metavar="KEY", help="dataset key; default: the run's own")
        add_flag(parser, "--why", required=True, metavar="TEXT", help="the reason, kept in the history")
        add_flag(parser, "--override", action="store_true", help="go over what the name's rule asks for")
        add_flag(
            parser, "--let-go", action="store_true", help="point the name at nothing; needs --scope, no RUN"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        name, scope, why = options["name"], options["scope"], options["why"]
        if options["let_go"]:
            if options["run_id"] or not scope:
                raise CommandError("--let-go needs --scope KEY and takes no RUN.", returncode=2)
            moved = let_go(name=name, scope=scope, why=why, who=_who())
        elif options["run_id"] is None:
            raise CommandError("Name the run whose checkpoint is meant: promote RUN --as NAME.", returncode=2)
        else:
            run = get_run(run_id=options["run_id"])
            checkpoint = find_checkpoint(run=run, which=options["checkpoint"])
            moved = promote(
                checkpoint,
                name=name,
                scope=scope_of(run, scope),
                why=why,
                who=_who(),
                override=options["override"],
            )
        self.say(moved.text)
        return {**AliasOut.of(moved.alias).model_dump(mode="json"), "changed": moved.changed}


def _who() -> str:
    """Name who sits at the command line: the account of the machine."""
    try:
        return f"{getuser()}, by command"
    except (KeyError, OSError):
        return "a command"
