"""Read the log of an attempt, which may be large and hold anything."""

from runs.journal import LOG_NAME
from runs.models import Run


def read_log(*, run: Run, attempt: int, offset: int | None, max_bytes: int) -> tuple[str, int, int, int]:
    """Read a piece of an attempt's log.

    Args:
        run: the run.
        attempt: number of the attempt; one that never was has an empty log.
        offset: byte to start at; None gives the last ``max_bytes``.
        max_bytes: the most to read.

    Returns:
        The text (bytes that are not UTF-8 replaced), its first byte, the byte after it, and the
        log's size.
    """
    path = run.attempt_directory(attempt) / LOG_NAME
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = min(size, max(0, size - max_bytes) if offset is None else offset)
            file.seek(start)
            data = file.read(max_bytes)
    except FileNotFoundError:
        return "", 0, 0, 0
    return data.decode(errors="replace"), start, start + len(data), size
