"""NVIDIA cards as their driver describes them, by NVML; no Django, no JAX.

Laptops, virtual machines and divided cards leave much unsaid, and each says something else. So
every fact is asked alone, and one that the driver does not tell is None while the others stand.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Uninitialised, driver not loaded, card lost: codes of NVML's own interface, after which nothing answers.
LOST_CODES = frozenset({1, 9, 15})
# NVML's value for "not available" is the largest of its type.
UNKNOWN_BYTES = 2**63
SLOWDOWNS = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x200: "board limit",
    0x400: "reliability",
}
_last_warnings: dict[str, str] = {}


class CardLostError(Exception):
    """The driver or the card went away while it was asked."""


@dataclass(frozen=True, slots=True)
class CardProcess:
    """A process that uses a card. ``memory_bytes`` is None where the driver does not say."""

    pid: int
    name: str
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """A card, or one instance of a card divided by MIG.

    ``index`` is the driver's number of the card, of an instance that of the card it lies on;
    ``mig`` says what part an instance is, else it is empty. Memory is in bytes, utilisation a
    share of 1, temperature in °C, power in watts; ``slowdowns`` says what holds its clocks down.
    """

    index: int
    uuid: str
    name: str
    driver: str
    mig: str
    memory_total: int | None
    memory_used: int | None
    memory_free: int | None
    utilisation: float | None
    temperature: float | None
    power: float | None
    power_limit: float | None
    slowdowns: tuple[str, ...] | None
    processes: tuple[CardProcess, ...] | None
    mig_enabled: bool | None = None
    instances: tuple["Card", ...] = ()


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """Open NVML and give its module; None without a driver."""
    nvml = start()
    try:
        yield nvml
    finally:
        if nvml is not None:
            stop(nvml)


def start() -> Any:
    """Open NVML until `stop` and give its module; None without a driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # no package, no library or no driver; each version tells it in its own way
        log.debug("NVML does not open: %s", error)
        return None
    return pynvml


def stop(nvml: Any) -> None:
    """Close NVML; a driver that is gone is closed already."""
    with contextlib.suppress(Exception):
        nvml.nvmlShutdown()


def read_cards() -> list[Card]:
    """Read every card of this machine; one that answers nothing is left out and named in the log."""
    with opened() as nvml:
        if nvml is None:
            return []
        try:
            driver = text(ask(nvml, "nvmlSystemGetDriverVersion"))
            count = int(ask(nvml, "nvmlDeviceGetCount") or 0)
        except CardLostError as error:
            _warn("driver", f"the NVIDIA driver does not answer: {error}")
            return []
        _told("driver")
        cards = (_read_card(nvml, index, driver) for index in range(count))
        return [card for card in cards if card is not None]


def usable_cards(cards: list[Card]) -> list[Card]:
    """Give what a program can use: the instances of a divided card, and every other card itself."""
    return [part for card in cards for part in (card.instances if card.mig_enabled else (card,))]


def _read_card(nvml: Any, index: int, driver: str) -> Card | None:
    label = f"gpu:{index}"
    try:
        handle = ask(nvml, "nvmlDeviceGetHandleByIndex", index)
        card = None if handle is None else _facts(nvml, handle, index=index, driver=driver)
        if card is None:
            _warn(label, f"{label} is left out: the driver says nothing of it")
            return None
        label_and_name = " ".join(word for word in (label, card.name, card.uuid) if word)
        mode = ask(nvml, "nvmlDeviceGetMigMode", handle)
        if mode is None or not mode[0]:
            _told(label)
            return replace(card, mig_enabled=None if mode is None else False)
        instances = tuple(_instances(nvml, handle, card))
    except CardLostError as error:
        _warn(label, f"{label} is left out, it went away while it was asked: {error}")
        return None
    if instances:
        _told(label)
    else:
        _warn(label, f"{label_and_name} is in MIG mode without an instance, so nothing can use it")
    return replace(card, mig_enabled=True, instances=instances)


def _instances(nvml: Any, handle: Any, card: Card) -> Iterator[Card]:
    for slot in range(int(ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0)):
        part = ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, slot)
        found = None if part is None else _facts(nvml, part, index=card.index, driver=card.driver)
        # Without its UUID a program cannot be told to use it.
        if found is not None and found.uuid:
            profile = _profile(nvml, part, found.name) or f"instance {slot}"
            yield replace(found, name=f"{card.name} MIG {profile}".strip(), mig=profile)


def _profile(nvml: Any, part: Any, name: str) -> str:
    if "MIG " in name:
        return name.rpartition("MIG ")[2]
    attributes = ask(nvml, "nvmlDeviceGetAttributes", part)
    slices = getattr(attributes, "gpuInstanceSliceCount", None)
    megabytes = getattr(attributes, "memorySizeMB", None)
    return f"{slices}g.{round(megabytes / 1024)}gb" if slices and megabytes else ""


def _facts(nvml: Any, handle: Any, *, index: int, driver: str) -> Card | None:
    uuid, name = ask(nvml, "nvmlDeviceGetUUID", handle), ask(nvml, "nvmlDeviceGetName", handle)
    total, used, free = memory(nvml, handle)
    facts: dict[str, Any] = {
        "memory_total": total,
        "memory_used": used,
        "memory_free": free,
        "utilisation": utilisation(nvml, handle),
        "temperature": temperature(nvml, handle),
        "power": power(nvml, handle),
        "power_limit": _watts(ask(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle)),
        "slowdowns": slowdowns(nvml, handle),
        "processes": _processes(nvml, handle),
    }
    if uuid is None and name is None and all(fact is None for fact in facts.values()):
        return None
    return Card(index=index, uuid=text(uuid), name=text(name), driver=driver, mig="", **facts)


def ask(nvml: Any, function: str, *arguments: Any) -> Any:
    """Ask the driver one thing; None where it does not tell.

    Raises:
        CardLostError: where the card or the driver is gone, so that there is nothing more to ask.
    """
    try:
        return getattr(nvml, function)(*arguments)
    except Exception as error:  # not supported, not permitted, or unknown to this version of the package
        if getattr(error, "value", None) in LOST_CODES:
            raise CardLostError(str(error)) from error
        return None


def handle_of(nvml: Any, uuid: str) -> Any:
    """Find a card or an instance by its UUID; None where the driver knows none."""
    # Older versions of the package want bytes.
    handle = ask(nvml, "nvmlDeviceGetHandleByUUID", uuid)
    return ask(nvml, "nvmlDeviceGetHandleByUUID", uuid.encode()) if handle is None else handle


def text(value: Any) -> str:
    """Give a text that older versions of the package hand out as bytes; empty for None."""
    plain = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return plain.replace("\x00", "")


def memory(nvml: Any, handle: Any) -> tuple[int | None, int | None, int | None]:
    """Read the memory in bytes: total, used, free."""
    found = ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    total, used, free = (_bytes(getattr(found, name, None)) for name in ("total", "used", "free"))
    return total, used, free


def utilisation(nvml: Any, handle: Any) -> float | None:
    """Read the share of the last moments in which the card computed, 0 to 1."""
    percent = getattr(ask(nvml, "nvmlDeviceGetUtilizationRates", handle), "gpu", None)
    return None if percent is None else percent / 100


def temperature(nvml: Any, handle: Any) -> float | None:
    """Read the temperature in °C."""
    degrees = ask(nvml, "nvmlDeviceGetTemperature", handle, 0)
    return None if degrees is None else float(degrees)


def power(nvml: Any, handle: Any) -> float | None:
    """Read the power draw in watts."""
    return _watts(ask(nvml, "nvmlDeviceGetPowerUsage", handle))


def energy(nvml: Any, handle: Any) -> float | None:
    """Read the energy in joules that the card has used since its driver was loaded."""
    millijoules = ask(nvml, "nvmlDeviceGetTotalEnergyConsumption", handle)
    return None if millijoules is None else float(millijoules) / 1000


def slowdowns(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    """Say what holds the card's clocks down; empty: nothing does."""
    for function in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
        reasons = ask(nvml, function, handle)
        if reasons is not None:
            return tuple(words for bit, words in SLOWDOWNS.items() if int(reasons) & bit)
    return None


def _processes(nvml: Any, handle: Any) -> tuple[CardProcess, ...] | None:
    answers = [ask(nvml, f"nvmlDeviceGet{what}RunningProcesses", handle) for what in ("Compute", "Graphics")]
    if all(answer is None for answer in answers):
        return None
    used: dict[int, int | None] = {}
    for process in (process for answer in answers for process in answer or ()):
        size = _bytes(getattr(process, "usedGpuMemory", None))
        # One that computes and draws is listed twice, each time with all that it uses.
        known = [one for one in (used.get(process.pid), size) if one is not None]
        used[process.pid] = max(known, default=None)
    return tuple(CardProcess(pid, _process_name(nvml, pid), size) for pid, size in sorted(used.items()))


def _process_name(nvml: Any, pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    words = text(ask(nvml, "nvmlSystemGetProcessName", pid)).split()
    return Path(words[0]).name if words else ""


def _watts(milliwatts: Any) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _bytes(value: Any) -> int | None:
    return None if value is None or not 0 <= value < UNKNOWN_BYTES else int(value)


def _warn(about: str, message: str) -> None:
    """Warn once, not at every look at the same trouble."""
    if _last_warnings.get(about) != message:
        log.warning("%s", message)
        _last_warnings[about] = message


def _told(about: str) -> None:
    _last_warnings.pop(about, None)
