"""The child of a supervisor: do the work of one claimed attempt. Not for use by hand."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from runs.execution import execute


class Command(BaseCommand):
    help = "Do the work of one claimed attempt of a run (started by a supervisor)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int)
        parser.add_argument("attempt", type=int)
        parser.add_argument("--supervisor-pid", "--supervisor_pid", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        code = execute(
            run_id=options["run_id"],
            attempt_number=options["attempt"],
            supervisor_pid=options["supervisor_pid"],
        )
        try:
            sys.stdout.flush()
        except OSError:
            # Python would end with a code of its own where the log's disk is full.
            os._exit(code)
        sys.exit(code)
