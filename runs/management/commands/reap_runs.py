"""Mark runs lost whose supervisor is gone. The worker does this by itself every few seconds."""

from typing import Any

from runs.reaper import reap
from tunix_site.commands import TunixCommand


class Command(TunixCommand):
    help = __doc__

    def run(self, **options: Any) -> dict[str, Any]:
        lost = reap()
        if not self.as_json:
            for run in lost:
                self.say(
                    f"Run {run.pk} is lost: {run.reason}. Go on with: manage.py train --resume-from {run.pk}"
                )
            if not lost:
                self.say("No run is lost.")
        return {"lost": [run.pk for run in lost]}
