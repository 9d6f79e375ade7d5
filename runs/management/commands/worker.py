"""Work off the queue: supervise runs one after another, build datasets, watch for lost runs."""

from typing import Any

from runs.worker import WorkerProcess
from tunix_site.commands import TunixCommand


class Command(TunixCommand):
    help = __doc__

    def run(self, **options: Any) -> None:
        self.say("Worker started; Ctrl-C stops its run with a checkpoint and leaves.")
        WorkerProcess().work()
        self.say("Worker ended.")
