"""What devices there are: a look at this machine, and the rows that tell other machines of it."""

import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

from django.utils import timezone

from runs import gpu_processes
from runs.devices import Device, cpus, findings, numbered, probe_jax
from runs.jax_probe import cached_probe
from runs.models import DeviceLease, HostDevice
from runs.nvml import read_cards
from runs.processes import hostname
from tunix_site.errors import UserError

FORGET_AFTER = dt.timedelta(days=1)
FACTS = [
    "kind",
    "index",
    "name",
    "memory_bytes",
    "free_bytes",
    "driver",
    "mig",
    "utilisation",
    "temperature",
    "processes",
    "usable",
    "trouble",
]
# What is no longer known of a device that is not there.
GONE: dict[str, Any] = {"free_bytes": None, "utilisation": None, "temperature": None, "processes": []}


def refresh_inventory(*, now: dt.datetime | None = None) -> list[HostDevice]:
    """Write down this host's devices as they are now, and give their rows.

    A device that vanished stays as not usable for a day, and those of a host that is silent stay
    as they are for as long. Asks the driver and the database and never starts JAX, so the worker
    can do it every few seconds; only the database can fail it.
    """
    now = now or timezone.now()
    rows = {(row.host, row.key): row for row in HostDevice.objects.all()}
    for device in look(now=now):
        row = rows.pop((device.host, device.key), None)
        facts = {name: getattr(device, name) for name in FACTS}
        if row is None:
            HostDevice.objects.update_or_create(
                host=device.host, key=device.key, defaults={**facts, "seen_at": now}
            )
        else:
            changed = {name: value for name, value in facts.items() if getattr(row, name) != value}
            HostDevice.objects.filter(pk=row.pk).update(seen_at=now, **changed)
    for row in rows.values():
        _miss(row, now)
    return list(HostDevice.objects.filter(host=hostname()))


def _miss(row: HostDevice, now: dt.datetime) -> None:
    # Guarded: another worker of this host may have found it in the meantime.
    same = HostDevice.objects.filter(pk=row.pk, seen_at=row.seen_at)
    if now - row.seen_at > FORGET_AFTER:
        same.delete()
    elif row.host == hostname() and (row.usable or row.trouble != _not_found(row)):
        same.update(usable=False, trouble=_not_found(row), **GONE)


def _not_found(row: HostDevice) -> str:
    return f"not found since {row.seen_at.astimezone(dt.UTC):%H:%M} UTC"


def look(*, now: dt.datetime) -> list[HostDevice]:
    """Describe this host's devices as rows that are not saved."""
    host = hostname()
    free = _available_bytes()
    slots = [_row(host, device, now, free_bytes=free) for device in cpus()]
    cards = numbered(read_cards())
    if not cards:
        return slots
    usable, why_not = _usable_by_jax([device.uuid for device, _ in cards])
    runs = gpu_processes.run_processes()
    leased = set(DeviceLease.objects.filter(host=host).values_list("device", flat=True))
    found = []
    for device, card in cards:
        processes = gpu_processes.described(card, runs)
        full = gpu_processes.full_trouble(card, processes, leased=device.key in leased)
        found.append(
            _row(
                host,
                device,
                now,
                free_bytes=card.memory_free,
                driver=card.driver[:40],
                mig=f"{card.mig} of card {card.index}"[:80] if card.mig else "",
                utilisation=card.utilisation,
                temperature=card.temperature,
                processes=processes,
                usable=usable,
                trouble=(why_not or full)[:200],
            )
        )
    return [*slots, *found]


def _row(host: str, device: Device, now: dt.datetime, **facts: Any) -> HostDevice:
    return HostDevice(
        host=host,
        key=device.key,
        kind=device.kind,
        index=device.index,
        name=device.name[:200],
        memory_bytes=device.memory_bytes,
        seen_at=now,
        **facts,
    )


def _usable_by_jax(uuids: list[str]) -> tuple[bool, str]:
    """Tell whether JAX can use the GPUs, and why not. What was never asked counts as usable."""
    with contextlib.suppress(AttributeError, TypeError):
        probe = cached_probe(uuids=uuids)
        if probe is not None and not probe["backends"].get("gpu"):
            said = probe.get("errors", {}).get("gpu", "")
            return False, "JAX cannot use it" + (f": {said}" if said else "")
    return True, ""


def _available_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def inventory(*, refresh: bool = False) -> dict[str, Any]:
    """List the devices of this machine as they are now, and those that other machines' workers saw.

    May ask JAX, which takes up to `PROBE_TIMEOUT_S`; with ``refresh`` it does so in any case.

    Returns:
        ``{"host", "jax", "devices": [...], "other_hosts": [...]}``; ``jax`` says in words what
        JAX sees. A device is ``{"host", "key", "kind", "index", "uuid", "name", "memory_bytes",
        "free_bytes", "driver", "mig", "utilisation", "temperature", "processes", "usable",
        "trouble", "run_id", "seen_at"}``.
    """
    try:
        probe = probe_jax(refresh=refresh)
    except UserError as error:
        usable_kinds, words = set[str](), str(error)
    else:
        usable_kinds = {kind for kind, devices in probe["backends"].items() if devices}
        words = findings([device for device, _ in numbered(read_cards())], probe)
        words += "".join(f" {kind}: {error}" for kind, error in probe.get("errors", {}).items())
    here = look(now=timezone.now())
    for device in here:
        device.usable = device.kind in usable_kinds
    keys = {device.key for device in here}
    known = list(HostDevice.objects.all())
    gone = [row for row in known if row.host == hostname() and row.key not in keys]
    for row in gone:
        for name, value in {**GONE, "usable": False, "trouble": _not_found(row)}.items():
            setattr(row, name, value)
    holders = {(lease.host, lease.device): lease.run_id for lease in DeviceLease.objects.all()}
    return {
        "host": hostname(),
        "jax": words,
        "devices": [_shape(row, holders) for row in [*here, *gone]],
        "other_hosts": [_shape(row, holders) for row in known if row.host != hostname()],
    }


def _shape(row: HostDevice, holders: dict[tuple[str, str], int]) -> dict[str, Any]:
    return {
        "host": row.host,
        "key": row.key,
        "uuid": "" if row.key == row.label else row.key,
        **{name: getattr(row, name) for name in FACTS},
        "run_id": holders.get((row.host, row.key)),
        "seen_at": row.seen_at.isoformat(),
    }
