"""Mark runs lost whose supervisor is gone. The worker does this by itself every few seconds."""

import time
from typing import Any

from runs.models import Run
from runs.reaper import SILENT_ELSEWHERE_S, Reaper, is_anyone_silent_elsewhere
from tunix_site.commands import TunixCommand

LOOK_AGAIN_S = 5.0


class Command(TunixCommand):
    help = __doc__

    def run(self, **options: Any) -> dict[str, Any]:
        reaper = Reaper()
        lost = reaper.look()
        if is_anyone_silent_elsewhere():
            lost += self._watch(reaper)
        if not self.as_json:
            for run in lost:
                self.say(
                    f"Run {run.pk} is lost: {run.reason}. Go on with: manage.py train --resume-from {run.pk}"
                )
            for attempt in reaper.orphans:
                self.say(f"{attempt} works on without a supervisor; `make worker` adopts it.".capitalize())
            if not lost:
                self.say("No run is lost.")
        return {"lost": [run.pk for run in lost], "orphans": [one.run_id for one in reaper.orphans]}

    def _watch(self, reaper: Reaper) -> list[Run]:
        """Watch runs of other hosts as long as a heartbeat may take: one old look proves nothing."""
        self.say(f"Runs of other hosts look silent; watching them for {SILENT_ELSEWHERE_S:.0f} s.")
        lost = []
        deadline = time.monotonic() + SILENT_ELSEWHERE_S + LOOK_AGAIN_S
        while time.monotonic() < deadline and is_anyone_silent_elsewhere():
            time.sleep(LOOK_AGAIN_S)
            lost += reaper.look()
        return lost
