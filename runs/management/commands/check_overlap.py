"""Look for the prompts of evaluations in the data that their models were trained on."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs.models import Evaluation
from runs.overlap.checking import check
from runs.overlap.facts import overlap_facts
from runs.promotion.following import follow_evaluations
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import NotFoundError

MOST_ID = 2**63


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "evaluations", nargs="*", type=int, metavar="EVALUATION", help="default: those not checked yet"
        )
        add_flag(parser, "--all", action="store_true", help="every evaluation, also those checked before")

    def run(self, **options: Any) -> dict[str, Any]:
        if options["all"] and options["evaluations"]:
            raise CommandError("Name evaluations, or write --all; not both.", returncode=2)
        anew = bool(options["all"] or options["evaluations"])
        results, looked_at = [], list[Evaluation]()
        try:
            for pk in self._numbers(options):
                rows = Evaluation.objects.select_related("run__dataset", "run__parent", "dataset")
                evaluation = rows.filter(pk=pk).first()
                if evaluation is None:
                    continue
                check(evaluation, anew=anew)
                looked_at.append(evaluation)
                facts = overlap_facts(evaluation.overlap)
                self.say(f"Evaluation {pk} of run {evaluation.run_id}, step {evaluation.step}: {facts.words}")
                results.append({"evaluation": pk, "run_id": evaluation.run_id, **(evaluation.overlap or {})})
        finally:
            # Also where it is interrupted: nobody looks at what was looked at a second time.
            follow_evaluations(looked_at)
        if not results:
            self.say("Every evaluation is checked." if not options["all"] else "There is no evaluation.")
        return {"checked": len(results), "evaluations": results}

    def _numbers(self, options: dict[str, Any]) -> list[int]:
        rows = Evaluation.objects.filter(superseded=False).order_by("pk")
        if options["all"]:
            return list(rows.values_list("pk", flat=True))
        asked: list[int] = list(dict.fromkeys(options["evaluations"]))
        if not asked:
            stored = rows.values_list("pk", "overlap")
            return [pk for pk, facts in stored if not facts or facts.get("state") != "done"]
        known = set(
            Evaluation.objects.filter(pk__in=[pk for pk in asked if 0 < pk < MOST_ID]).values_list(
                "pk", flat=True
            )
        )
        if missing := [str(pk) for pk in asked if pk not in known]:
            raise NotFoundError(
                f"There is no evaluation {', '.join(missing)}.",
                hint="The tab Evaluations of a run and GET /api/training/runs/{id}/evaluations name them.",
            )
        return asked
