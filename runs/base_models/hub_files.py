"""One file over HTTP, from wherever an earlier attempt came to."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from runs.base_models.hub_errors import library, transport_errors
from tunix_site.errors import UserError

TIMEOUT_S: Final = 30.0
# Attempts in a row that bring not one byte.
ATTEMPTS: Final = 5
PAUSE_S: Final = 1.0


def fetch(
    url: str, part: Path, *, size: int, headers: Mapping[str, str], counted: Callable[[int], None]
) -> None:
    """Bring ``part`` to ``size`` bytes, going on after those that it has, and make them outlive a power cut.

    Raises:
        UserError: when the server sends more or other bytes than it said.
        Exception: of the hub's library or its transport, when it refuses or goes away for good.
    """
    fruitless = 0
    with part.open("ab") as file:
        if file.tell() > size:
            file.truncate(0)
        while (have := file.seek(0, os.SEEK_END)) < size:
            counted(have)
            try:
                _stream(url, file, have, size, headers, counted)
            except transport_errors():
                fruitless = fruitless + 1 if file.seek(0, os.SEEK_END) == have else 0
                if fruitless >= ATTEMPTS:
                    raise
                time.sleep(PAUSE_S)
            else:
                if file.seek(0, os.SEEK_END) == have:
                    raise UserError(f"The hub sent nothing of {part.stem}.", hint="Try again later.")
        counted(size)
        file.flush()
        os.fsync(file.fileno())


def _stream(
    url: str,
    file: Any,
    have: int,
    size: int,
    headers: Mapping[str, str],
    counted: Callable[[int], None],
) -> None:
    # Packed on the way, a part of the file could not be asked for.
    asked = {**headers, "Accept-Encoding": "identity"}
    if have:
        asked["Range"] = f"bytes={have}-"
    session: Any = library().get_session()
    with session.stream("GET", url, headers=asked, follow_redirects=True, timeout=TIMEOUT_S) as answer:
        library().utils.hf_raise_for_status(answer)
        if have and answer.status_code != 206:
            # It begins at the beginning again.
            file.truncate(0)
            have = 0
        # As they come: what waits for a full piece would be lost where the connection breaks.
        for piece in answer.iter_bytes():
            have += len(piece)
            if have > size:
                file.truncate(0)
                raise UserError(
                    f"The hub sent more than the {size:,} bytes that it said.", hint="Try again later."
                )
            file.write(piece)
            file.flush()
            counted(have)
