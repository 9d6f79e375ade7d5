"""``queue``: what waits, in order and with the reason, and what runs where."""

from typing import Any

from runs.fleet import device_labels, queue_board
from tunix_site.commands import TunixCommand


class Command(TunixCommand):
    help = "List the waiting runs in the order in which they start, why each waits, and what runs where."

    def run(self, **options: Any) -> dict[str, Any]:
        board = queue_board()
        labels = device_labels(board.leases)
        if not self.as_json:
            for lease in board.leases:
                done = f"step {lease.run.step} of {lease.run.total_steps}"
                self.say(f"{labels[lease.pk]} of {lease.host}: {lease.run}, {lease.run.status}, {done}")
            for one in board.waiting:
                priority = f", priority {one.run.priority}" if one.run.priority else ""
                self.say(f"{one.place}. {one.run}{priority}: {one.reason}")
            if not board.waiting:
                self.say("Nothing waits.")
            elif board.count > len(board.waiting):
                self.say(f"… and {board.count - len(board.waiting)} more.")
        return {
            "waiting": [
                {
                    "place": one.place,
                    "run_id": one.run.pk,
                    "name": one.run.name,
                    "priority": one.run.priority,
                    "reason": one.reason,
                }
                for one in board.waiting
            ],
            "count": board.count,
            "running": [
                {
                    "host": lease.host,
                    "device": labels[lease.pk],
                    "run_id": lease.run_id,
                    "status": lease.run.status,
                    "step": lease.run.step,
                    "total_steps": lease.run.total_steps,
                }
                for lease in board.leases
            ],
        }
