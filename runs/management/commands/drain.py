"""Let a host's worker stop its runs with checkpoints and leave, for an upgrade or a shutdown."""

import time
from typing import Any

from django.core.management.base import CommandParser

from runs.draining import request_drain
from runs.launching import positive
from runs.models import Attempt, Worker
from runs.processes import hostname
from runs.selectors import live_workers
from runs.states import SUPERVISED
from tunix_site.commands import TunixCommand
from tunix_site.errors import ConflictError, NotFoundError

POLL_S = 0.5


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--host", default="", help="which host's worker; default: this one's")
        parser.add_argument("--all", action="store_true", help="the workers of all hosts")
        parser.add_argument(
            "--timeout", type=positive, default=600, metavar="S", help="seconds to wait for its end"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        host = options["host"] or hostname()
        workers = list(live_workers() if options["all"] else live_workers().filter(host=host))
        if not workers:
            where = "any host" if options["all"] else host
            raise NotFoundError(
                f"No worker is running on {where}.", hint="`manage.py reap_runs` shows what still works."
            )
        for worker in workers:
            if worker.drain_requested_at is None:
                request_drain(worker)
            self.say(f"{worker} stops its runs with checkpoints and leaves.".capitalize())
        numbers = [worker.pk for worker in workers]
        deadline = time.monotonic() + options["timeout"]
        while Worker.objects.filter(pk__in=numbers).exists():
            if time.monotonic() > deadline:
                left = Attempt.objects.filter(
                    host__in=[worker.host for worker in workers], finished_at=None, run__status__in=SUPERVISED
                )
                runs = ", ".join(str(attempt.run_id) for attempt in left) or "none"
                raise ConflictError(
                    f"Not drained after {options['timeout']} s; runs still at work: {runs}.",
                    hint="Wait longer (--timeout), or end them: `manage.py control stop-now RUN`.",
                )
            time.sleep(POLL_S)
        self.say("Drained.")
        return {"drained": [worker.host for worker in workers]}
