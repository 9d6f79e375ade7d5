"""Read a text file line by line, with no line so long that memory could run out."""

from collections.abc import Iterator
from pathlib import Path

from tunix_site.errors import InvalidInputError

MAX_LINE = 4 << 20


def read_lines(path: Path) -> Iterator[str]:
    """Give the lines of a UTF-8 file, with or without a byte order mark.

    Raises:
        InvalidInputError: naming the line that is too long or no UTF-8.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise InvalidInputError(f"{path}, line {number}: longer than {MAX_LINE >> 20} MiB.")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}, line {number}: byte {error.start} is no UTF-8.") from error
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.") from error
