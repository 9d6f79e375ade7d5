"""List the devices of this machine: what the driver sees, what JAX can use, what is taken."""

from typing import Any

from django.core.management.base import CommandParser

from runs.devices import inventory
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
                memory = (
                    f"{device['memory_bytes'] / GIB:.1f} GiB" if device["memory_bytes"] else "memory unknown"
                )
                use = f"busy with run {device['run_id']}" if device["run_id"] else "free"
                usable = "usable by JAX" if device["usable"] else "not usable by JAX"
                self.say(f"{device['kind']}:{device['index']}  {device['name']}  {memory}  {usable}  {use}")
            self.say(found["jax"])
        return found
