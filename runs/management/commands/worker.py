"""Be this host's worker: hand waiting runs to its devices, build datasets, watch for lost runs."""

from typing import Any

from runs.worker import WorkerProcess
from tunix_site.commands import TunixCommand


class Command(TunixCommand):
    help = __doc__

    def run(self, **options: Any) -> None:
        self.say("Worker started; Ctrl-C stops its runs with checkpoints and leaves.")
        WorkerProcess().work()
        self.say("Worker ended.")
