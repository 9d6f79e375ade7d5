"""``quality_report``: what is good and bad about a dataset."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets_app.quality.reports import request_report
from datasets_app.selectors import resolve_dataset
from tunix_site.commands import TunixCommand, add_flag


class Command(TunixCommand):
    help = "Look for duplicates, overlap, cut answers and wrong steps in a dataset, and keep the report."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", metavar="KEY", help="KEY or KEY@HASHPREFIX")
        add_flag(parser, "--against", metavar="KEY", help="another dataset that must not overlap with it")
        add_flag(
            parser,
            "--sequence-length",
            type=int,
            default=512,
            metavar="N",
            help="tokens in a row; default: 512",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        dataset = resolve_dataset(address=options["key"])
        against = options["against"]
        report = request_report(
            dataset=dataset,
            other=resolve_dataset(address=against) if against else None,
            sequence_length=options["sequence_length"],
            at_once=True,
        )
        content = report.content
        if report.status != report.Status.COMPLETED:
            raise CommandError(f"The report ended as {report.status}: {report.error}", returncode=1)
        self.say(f"{dataset.address}: {dataset.trace_count} traces")
        total = content["tokens"]["total"]
        shown = ", ".join(f"{name} {total[name]}" for name in ("p50", "p95", "p99", "max"))
        self.say(f"  tokens a trace: {shown}")
        for finding in content["findings"]:
            first = ", ".join(str(item["positions"][0]) for item in finding["items"][:5])
            self.say(f"  {finding['severity']:<8} {finding['count']:>7}  {finding['title']} (at {first})")
        if not content["findings"]:
            self.say("  nothing to report")
        self.say(f"  the page: /datasets/{dataset.address}/quality/")
        return {"report_id": report.pk, **content}
