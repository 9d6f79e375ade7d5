"""``seed_dataset``: generate a dataset, the same everywhere for the same key, count and seed."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.generators import GENERATORS
from datasets_app.selectors import resolve_dataset
from datasets_app.services import as_json, seed_dataset
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = "Generate a dataset. The same key, count and seed give the same content on every machine."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_flag(parser, "--dataset", metavar="KEY", help=f"one of {', '.join(GENERATORS)}")
        add_flag(parser, "--count", type=int, metavar="N", help="how many traces; default: the dataset's own")
        add_flag(parser, "--seed", type=int, default=0, metavar="N", help="another seed is another content")
        add_flag(parser, "--list", action="store_true", help="describe what can be generated")

    def run(self, **options: Any) -> dict[str, Any]:
        if options["list"]:
            return self._list()
        key = options["dataset"]
        if not key:
            raise CommandError(
                f"--dataset is missing. Generated datasets: {', '.join(GENERATORS)}.", returncode=2
            )
        result = seed_dataset(key=key, count=options["count"], seed=options["seed"])
        dataset = result.dataset
        sides = f"{dataset.trace_count} traces ({dataset.train_count} train, {dataset.test_count} test)"
        if result.created:
            self.say(f"Seeded {dataset.address}: {sides}.")
        else:
            self.say(f"{dataset.address} is there already with this content: {sides}. Nothing changed.")
            newest = resolve_dataset(address=key)
            if newest.pk != dataset.pk:
                self.say(
                    f"Note: {key} addresses the newer {newest.address}; name this one {dataset.address}."
                )
        return as_json(dataset, created=result.created)

    def _list(self) -> dict[str, Any]:
        listed = []
        for spec in GENERATORS.values():
            self.say(f"{spec.key:<22} {spec.default_count:>5} traces  {spec.summary}")
            for family in spec.families:
                setting = ", ".join(f"{name} {value}" for name, value in family.parameters.items())
                self.say(f"{'':<22} {'':>5}   · {family.name} ({setting}): {family.summary}")
            listed.append(
                {
                    "key": spec.key,
                    "version": spec.version,
                    "default_count": spec.default_count,
                    "most": spec.capacity,
                    "summary": spec.summary,
                    "families": [family.name for family in spec.families],
                    "parameters": {family.name: family.parameters for family in spec.families},
                }
            )
        return {"generators": listed}
