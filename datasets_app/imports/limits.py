"""What an import may take, enforced while the file streams by, whatever its length was said to be."""

from dataclasses import dataclass
from typing import Self

from django.conf import settings

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one import. ``total_bytes`` and ``line_bytes`` count what was unpacked."""

    total_bytes: int
    line_bytes: int
    rows: int
    steps: int

    @classmethod
    def of_settings(cls) -> Self:
        """Give what ``TUNIX_IMPORT_MAX_…`` say."""
        return cls(
            total_bytes=settings.TUNIX_IMPORT_MAX_MB * MIB,
            line_bytes=settings.TUNIX_IMPORT_MAX_LINE_MB * MIB,
            rows=settings.TUNIX_IMPORT_MAX_ROWS,
            steps=settings.TUNIX_IMPORT_MAX_STEPS,
        )
