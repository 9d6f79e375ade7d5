"""Ask a site over HTTP, again and again, and tell how long it took."""

import contextlib
import http.client
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class Visitor:
    """One connection that stays open, with a token or a session's cookie."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers = headers

    def get(self, path: str) -> bytes:
        """Give the body of an answer, which must be 200."""
        try:
            answer = self._ask(path)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # Meanwhile the server has closed a connection that was idle; as a browser does, open another.
            self.connection.close()
            answer = self._ask(path)
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return body

    def _ask(self, path: str) -> http.client.HTTPResponse:
        self.connection.request("GET", path, headers=self.headers)
        return self.connection.getresponse()


def cpu_seconds(parent: int) -> float:
    """Give the processor time that the children of a process have used so far."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12]) if int(fields[1]) == parent else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(get: Callable[[str], bytes], paths: Iterable[str], *, cpu: Callable[[], float]) -> dict[str, Any]:
    """Ask for each path once, in turn, and summarise the times (ms) and sizes (bytes).

    ``cpu`` tells the processor time of the server so far, which other work hardly changes.
    """
    times, sizes, before = [], [], cpu()
    for path in paths:
        began = time.perf_counter()
        body = get(path)
        times.append((time.perf_counter() - began) * 1000)
        sizes.append(len(body))
    times.sort()

    def share(part: float) -> float:
        return round(times[min(len(times) - 1, math.ceil(part * len(times)) - 1)], 1)

    return {
        "requests": len(times),
        "p50_ms": share(0.5),
        "p95_ms": share(0.95),
        "max_ms": round(times[-1], 1),
        "cpu_ms_of_the_site": round((cpu() - before) * 1000 / len(times), 1),
        "largest_bytes": max(sizes),
    }
