"""Which folder of artifacts this is: hosts that share one can take up each other's runs."""

import contextlib
import uuid
from pathlib import Path

from django.conf import settings

NAME = ".store-id"


def store_id() -> str:
    """Name this site's artifacts folder, once and for all; empty where it can't be written."""
    path = Path(settings.TUNIX_ARTIFACTS_DIR) / NAME
    fresh = path.with_name(f"{NAME}.{uuid.uuid4().hex}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(uuid.uuid4().hex)
            # Two that come at once agree on the first: a link never replaces.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(fresh)
            fresh.unlink()
        return path.read_text().strip()[:32]
    except OSError:
        return ""
