"""``check_checkpoints``: do the rows and the folders of checkpoints agree, and are all of them sound?"""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runs.checkpointing import check_checkpoints
from runs.selectors import get_run
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = "Verify the hashes of all checkpoints, and check that rows and folders agree."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run", nargs="?", metavar="RUN", help="a run's number; default: all runs")
        add_flag(
            parser, "--repair", action="store_true", help="mend the rows, and set damaged checkpoints aside"
        )
        add_flag(
            parser, "--purge", action="store_true", help="delete what was set aside or left half-written"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        run = get_run(run_id=options["run"]) if options["run"] else None
        report = check_checkpoints(run=run, repair=options["repair"], purge=options["purge"])
        for finding in report.findings:
            state = "repaired" if finding.repaired else "FOUND"
            where = f"run {finding.run_id}, step {finding.step}: " if finding.run_id else ""
            self.say(f"{state}: {where}{finding.message}")
        if report.elsewhere:
            runs = ", ".join(str(pk) for pk in report.elsewhere)
            self.say(
                f"Not looked at, for their checkpoints lie with another host: runs {runs}. Check them there."
            )
        left = [finding for finding in report.findings if not finding.repaired]
        result = {
            "ok": not left,
            "verified": report.verified,
            "unused_bytes": report.unused_bytes,
            "freed_bytes": report.freed_bytes,
            "repaired": len(report.findings) - len(left),
            "findings": [finding.as_json() for finding in report.findings],
            "elsewhere": report.elsewhere,
        }
        if report.freed_bytes:
            self.say(f"{report.freed_bytes:,} bytes are free again.")
        elif report.unused_bytes:
            self.say(f"{report.unused_bytes:,} bytes are set aside or half-written; --purge frees them.")
        if left:
            if self.as_json:
                self.stdout.write(json.dumps(result, ensure_ascii=False))
            raise CommandError(
                f"{len(left)} of {len(report.findings)} findings are left. --repair mends rows and sets "
                "damaged checkpoints aside; a run that is alive, and a folder of no run, is not touched.",
                returncode=1,
            )
        self.say(f"{report.verified} checkpoints verified: all is well.")
        return result
