"""List the devices of this machine: what the driver sees, what JAX can use, what is taken."""

from typing import Any

from django.core.management.base import CommandParser

from runs.inventory import inventory
from tunix_site.commands import TunixCommand

GIB = 2**30


class Command(TunixCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--refresh", action="store_true", help="ask JAX again instead of trusting the last answer"
        )

    def run(self, **options: Any) -> dict[str, Any]:
        found = inventory(refresh=options["refresh"])
        if not self.as_json:
            for device in found["devices"]:
                self._show(device)
            self.say(found["jax"])
            for device in found["other_hosts"]:
                self._show(device, f"{device['host']} ", f"  seen {device['seen_at'][:16]} UTC")
        return found

    def _show(self, device: dict[str, Any], before: str = "", after: str = "") -> None:
        words = [
            f"{before}{device['kind']}:{device['index']}",
            device["name"],
            _memory(device),
            "usable by JAX" if device["usable"] else "not usable by JAX",
            f"busy with run {device['run_id']}" if device["run_id"] else "free",
        ]
        if device["utilisation"] is not None:
            words.append(f"{device['utilisation']:.0%} used")
        if device["temperature"] is not None:
            words.append(f"{device['temperature']:.0f} °C")
        self.say("  ".join(word for word in words if word) + after)
        details = [f"UUID {device['uuid']}"] if device["uuid"] else []
        details += [f"driver {device['driver']}"] if device["driver"] else []
        details += [f"MIG {device['mig']}"] if device["mig"] else []
        if details:
            self.say("    " + ", ".join(details))
        if device["trouble"]:
            self.say(f"    takes no run: {device['trouble']}")
        for process in device["processes"]:
            size = f"{process['memory_bytes'] / GIB:.1f} GiB" if process["memory_bytes"] is not None else "?"
            whose = f"run {process['run_id']}" if process["run_id"] else "not of a run"
            self.say(f"    {size}  {process['name'] or 'unnamed'} (pid {process['pid']})  {whose}")


def _memory(device: dict[str, Any]) -> str:
    if device["memory_bytes"] is None:
        return "memory unknown"
    free = f", {device['free_bytes'] / GIB:.1f} free" if device["free_bytes"] is not None else ""
    return f"{device['memory_bytes'] / GIB:.1f} GiB{free}"
