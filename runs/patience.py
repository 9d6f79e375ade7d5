"""Ask the database until it answers, for what a training cannot begin without."""

import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection

PATIENCE_S = 600.0
PAUSE_S = 1.0


def patiently[Result](action: Callable[[], Result], *, seconds: float = PATIENCE_S) -> Result:
    """Do something with the database, again and again while it is away or locked.

    Raises:
        OperationalError, InterfaceError: when it was away for longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (OperationalError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(PAUSE_S)
