"""List the names on checkpoints with their rules and moves, or change what a name asks for."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs.models import Alias, AliasMove, AliasRule
from runs.promotion.following import METRICS
from runs.promotion.rules import FIELDS, drop_rule, set_rule
from runs.promotion.schemas import AliasMoveOut, AliasOut, RuleOut
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import InvalidInputError

MOVES_TOLD = 50
TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_flag(parser, "--scope", default="", metavar="KEY", help="dataset key; default: all")
        add_flag(parser, "--name", default="", metavar="NAME", help="with --set, --follow or --no-rule")
        add_flag(parser, "--history", action="store_true", help=f"also the newest {MOVES_TOLD} moves")
        add_flag(parser, "--follow", metavar="METRIC", help=f"let it move by itself: {', '.join(METRICS)}")
        add_flag(
            parser,
            "--set",
            action="append",
            default=[],
            dest="changes",
            metavar="FIELD=VALUE",
            help=f"what the name asks for; fields: {', '.join(FIELDS)}; may be repeated",
        )
        add_flag(
            parser, "--no-rule", action="store_true", help="let the name be moved by hand, without conditions"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        scope, name = options["scope"], options["name"]
        changes = _read(options["changes"])
        if options["follow"] is not None:
            changes["metric"] = options["follow"]
        if changes or options["no_rule"]:
            if not scope or not name:
                raise CommandError("Name the alias: --scope KEY --name NAME.", returncode=2)
            if changes and options["no_rule"]:
                raise CommandError("--no-rule goes with no other change.", returncode=2)
            self._change(scope, name, changes)
        return self._tell(scope, name, history=options["history"])

    def _change(self, scope: str, name: str, changes: dict[str, Any]) -> None:
        if not changes:
            drop_rule(scope=scope, name=name)
            return
        _, followed = set_rule(scope=scope, name=name, changes=changes)
        if followed is not None and followed.why:
            self.say(
                f"{scope}:{name} stays where it is: {followed.why}; {followed.left_out} do not meet its rule."
            )

    def _tell(self, scope: str, name: str, *, history: bool) -> dict[str, Any]:
        wanted = {key: value for key, value in (("scope", scope), ("name", name)) if value}
        aliases = Alias.objects.filter(**wanted).exclude(checkpoint=None).select_related("checkpoint")
        rules = AliasRule.objects.filter(**wanted)
        moves = AliasMove.objects.filter(**wanted)[: MOVES_TOLD if history else 0]
        for row in aliases:
            who = row.moved_by_name or "itself"
            where = (
                f"run {row.checkpoint.run_id}, step {row.checkpoint.step}" if row.checkpoint else "nothing"
            )
            self.say(f"{row}: {where}, by {who} on {row.moved_at:%Y-%m-%d %H:%M}: {row.why}")
        if not aliases:
            self.say("No name points at a checkpoint.")
        for rule in rules:
            self.say(f"{rule}: {in_words(rule)}")
        for one in moves:
            self.say(f"{one.moved_at:%Y-%m-%d %H:%M} {one} by {one.moved_by_name or 'itself'}: {one.why}")
        return {
            "aliases": [AliasOut.of(row).model_dump(mode="json") for row in aliases],
            "rules": [RuleOut.of(row).model_dump(mode="json") for row in rules],
            "history": [AliasMoveOut.of(row).model_dump(mode="json") for row in moves],
        }


def in_words(rule: AliasRule) -> str:
    """Say what a rule asks for."""
    asked = [f"split {rule.split}", f"grader {rule.grader or 'any that is recorded'}", f"n ≥ {rule.min_n}"]
    if rule.min_accuracy is not None:
        asked.append(f"lower bound ≥ {rule.min_accuracy:.1%}")
    asked.append(f"overlap {rule.overlap}")
    if rule.metric:
        asked.insert(0, f"follows the {'highest' if rule.higher_is_better else 'lowest'} {rule.metric}")
    return ", ".join(asked)


def _read(pairs: list[str]) -> dict[str, Any]:
    """Read FIELD=VALUE; numbers and truths become such."""
    found: dict[str, Any] = {}
    for pair in pairs:
        field, equals, text = pair.partition("=")
        if not equals:
            raise InvalidInputError(f"--set {pair[:60]!r}: write FIELD=VALUE.")
        try:
            if field == "min_n":
                found[field] = int(text)
            elif field == "min_accuracy":
                found[field] = float(text) if text else None
            elif field == "higher_is_better":
                found[field] = TRUTHS[text.lower()]
            else:
                found[field] = text
        except (ValueError, KeyError):
            raise InvalidInputError(f"{field}: {text[:40]!r} is no value for it.") from None
    return found
