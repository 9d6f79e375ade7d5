"""``export_recipe``: write down what another machine needs to repeat a training."""

import hashlib
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from runs.recipes.files import write_recipe
from runs.selectors import get_run
from tunix_site.commands import TunixCommand
from tunix_site.errors import UserError


class Command(TunixCommand):
    help = "Write the recipe of a training as one small file, for `train --recipe FILE`."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run", metavar="RUN", help="the run's number")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: standard output")

    def run(self, **options: Any) -> dict[str, Any] | None:
        run = get_run(run_id=options["run"])
        text, file = write_recipe(run), options["output"]
        if file is None and not self.as_json:
            self.stdout.write(text, ending="")
            return None
        file = file or Path(f"run-{run.pk}.toml")
        try:
            file.write_text(text, "utf-8")
        except OSError as error:
            raise UserError(f"{file} cannot be written: {error.strerror}.") from error
        self.say(f"Wrote {file}. Train it with: manage.py train --recipe {file}")
        return {
            "run_id": run.pk,
            "file": str(file),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
