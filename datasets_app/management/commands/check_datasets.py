"""``check_datasets``: do database, hashes, manifest and files agree?"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.verification import check_datasets
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = "Check that the rows, content hash, manifest and traces.jsonl of datasets agree."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "key", nargs="?", metavar="KEY", help="KEY or KEY@HASHPREFIX; default: all datasets"
        )
        add_flag(parser, "--repair", action="store_true", help="write files anew from rows that are right")

    def run(self, **options: Any) -> dict[str, Any]:
        checked, findings = check_datasets(address=options["key"], repair=options["repair"])
        for finding in findings:
            state = "repaired" if finding.repaired else "WRONG"
            self.say(f"{state}: {finding.dataset}: {finding.message}")
        left = [finding for finding in findings if not finding.repaired]
        result = {
            "ok": not left,
            "checked": checked,
            "repaired": len(findings) - len(left),
            "findings": [finding.as_json() for finding in findings],
        }
        if left:
            if self.as_json:
                self.stdout.write(json.dumps(result, ensure_ascii=False))
            again = (
                "" if options["repair"] else " Try --repair: it writes files anew where the rows are right."
            )
            raise CommandError(
                f"{len(left)} of {len(findings)} findings are not repaired.{again}", returncode=1
            )
        self.say(f"{checked} datasets checked: all is well.")
        return result
