"""Log records: one line each, whatever a request puts into them."""

import logging
import sys

from tunix_site.logs import OneLineFormatter


def record(message, *args, exc_info=None):
    return logging.LogRecord("runs", logging.ERROR, __file__, 1, message, args, exc_info)


def test_a_record_cannot_forge_another():
    line = OneLineFormatter().format(record("path %s", "x\n2026-01-01 INFO all is well\r\x1b[2J"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.endswith(r"path x | 2026-01-01 INFO all is well\x0d\x1b[2J")


def test_a_traceback_stays_with_its_record():
    try:
        raise ValueError("why")
    except ValueError:
        line = OneLineFormatter().format(record("it failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "it failed | Traceback" in line
    assert line.endswith("ValueError: why")
