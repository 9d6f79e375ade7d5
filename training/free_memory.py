"""How much memory is free for a device: its allocator's word on a GPU, the host's on a CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jax

# Control groups write "no limit" as a number near the largest that fits into 64 bits.
_NO_LIMIT: Final = 2**60


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Free bytes, None where nothing tells them, and where they are, as ``on cuda:0``."""

    bytes: int | None
    place: str


def free_memory(device: jax.Device, *, root: Path = Path("/")) -> FreeMemory:
    """Return what is free for a device.

    On a GPU that is the limit of JAX's own allocator less what it has given out, so memory that
    other processes hold is only left out where it was reserved at the start. On a CPU it is the
    least of Linux's MemAvailable and of what each control group of this process has left, version 1
    or 2; ``root`` is the directory above proc and sys.
    """
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" not in stats:
            return FreeMemory(None, f"on {device}")
        return FreeMemory(int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0)), f"on {device}")
    left = [(size, "in this control group") for size in _left_in_groups(root)]
    if (available := _fields(root / "proc/meminfo").get("MemAvailable:")) is not None:
        left.append((available * 1024, "on this machine"))
    return FreeMemory(*min(left)) if left else FreeMemory(None, "on this machine")


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield the limit less the use of each control group from this process's own up to the top."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, limit, used, idle = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            limit, used, idle = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # Inside a container the path can be the host's; what is not there is simply passed over.
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            allowed, taken = _text(folder / limit).strip(), _text(folder / used).strip()
            if allowed.isdigit() and taken.isdigit() and int(allowed) < _NO_LIMIT:
                # The file cache counts as use, but the kernel gives its idle part back when asked.
                yield int(allowed) - int(taken) + _fields(folder / "memory.stat").get(idle, 0)
            if folder == top:
                break


def _fields(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
