"""What the first page says in one line."""

from django import template

from runs.home.scene import Home

register = template.Library()


@register.filter
def summary(home: Home) -> str:
    """Say how much runs and waits, and which devices are free."""
    free = sum(1 for one in home.devices if one.run is None and one.device.usable and not one.device.trouble)
    running, waiting = len(home.running), home.waiting_count
    devices = len(home.devices)
    words = [
        f"{running} run{'' if running == 1 else 's'} at work",
        f"{waiting} waiting",
        f"{free} of {devices} device{'' if devices == 1 else 's'} free" if devices else "no device at hand",
    ]
    return ", ".join(words)
