"""The common ground of our management commands: flag spellings, ``--json``, exit codes."""

import json
import os
import sys
from argparse import Action
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tunix_site.errors import UserError


def add_flag(parser: Any, flag: str, **options: Any) -> Action:
    """Add ``--some-flag`` and, beside it, its underscore spelling ``--some_flag``."""
    names = [flag]
    underscored = "--" + flag.removeprefix("--").replace("-", "_")
    if underscored != flag:
        names.append(underscored)
    action: Action = parser.add_argument(*names, **options)
    return action


# What a shell shows for a process that SIGPIPE ended: nobody reads its output any more.
UNREAD = 141


class TunixCommand(BaseCommand):
    """A command that ends with 0 (done), 1 (failed, one clear message) or 2 (wrong use).

    Where the reader of its output went away (``… | head -1``) it ends quietly with 141.

    Subclasses write ``run(**options)`` and return the facts that ``--json`` prints as one
    object at the end, or ``None``.
    """

    requires_migrations_checks = False
    # What can differ from one start to the next: places and secrets. Addresses, forms and the admin are
    # checked by `check` and `migrate`, and reading them would double the time that a command needs to start.
    requires_system_checks = [Tags.files, Tags.security, Tags.database]
    # Set by a subclass whose result is to be printed although the command failed.
    failure: CommandError | None = None

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--json``; subclasses call this and add their own."""
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, print the result, and turn a `UserError` into one line and exit code 1."""
        try:
            self._run_and_print(**options)
            self.stdout.flush()
            return
        except BrokenPipeError:
            # What is still in the buffer must not fail once more when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        # Outside of the handler, so that what `run` was reading is closed before its database is.
        raise SystemExit(UNREAD)

    def _run_and_print(self, **options: Any) -> None:
        self.as_json: bool = options["json"]
        try:
            result = self.run(**options)
        except UserError as error:
            raise CommandError(str(error), returncode=1) from error
        if self.as_json and result is not None:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        if self.failure is not None:
            raise self.failure

    def run(self, **options: Any) -> dict[str, Any] | None:
        """Do the work; must be overridden."""
        raise TypeError(f"{type(self).__name__} has no run()")

    def say(self, text: str) -> None:
        """Tell a person something; with ``--json`` it goes to standard error."""
        stream = self.stderr if self.as_json else self.stdout
        stream.write(text, lambda plain: plain)
