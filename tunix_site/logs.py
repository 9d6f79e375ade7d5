"""How log records look: one line each, so that no input can forge a record of its own."""

import logging

CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), 127) if code not in (9, 10)}


class OneLineFormatter(logging.Formatter):
    """Time, level, logger, message; a traceback follows on the same line, its lines parted by `` | ``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record on one line."""
        lines = super().format(record).translate(CONTROL_CHARACTERS).split("\n")
        return " | ".join(line.rstrip() for line in lines if line.strip())
