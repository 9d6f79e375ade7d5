"""What the hub's library says, in words that tell what to do."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

from tunix_site.errors import NotFoundError, UserError

LOCAL: Final = "Or download it where there is a network and import the folder: manage.py import_model FOLDER."


def library() -> Any:
    """Return the hub's library.

    Raises:
        UserError: when it is not installed.
    """
    # It is to tell nobody what else is installed here.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise UserError(
            "Models from the hub need the package huggingface-hub.",
            hint="Install the extra `models`, or import a folder.",
        ) from error
    return huggingface_hub


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what the library raises when the connection fails, and nothing that the server answered."""
    import httpx2

    return (httpx2.TransportError,)


@contextlib.contextmanager
def explained(repository: str, revision: str = "", name: str = "") -> Iterator[None]:
    """Turn the errors of the hub's library into our own, and never repeat what was sent.

    Raises:
        UserError: saying what failed and what to do.
    """
    errors = library().errors
    gone: tuple[type[Exception], ...] = (*transport_errors(), ConnectionError, TimeoutError)
    what = f"{name} of {repository}" if name else repository
    try:
        yield
    except UserError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise UserError("The hub is not asked: HF_HUB_OFFLINE is set.", hint=f"Unset it. {LOCAL}") from error
    except errors.GatedRepoError as error:
        raise UserError(
            f"{repository} is gated: its owners ask you to accept their terms first.",
            hint="Accept them on the model's page there, make a token that may read, and give it by "
            "--token-file FILE or in HF_TOKEN of the process that imports.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFoundError(
            f"{repository} has no revision {revision[:100]!r}.", hint="Name a branch, a tag or a commit."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotFoundError(
            f"The hub has no model {repository} that it shows to you.",
            hint="Look at the spelling. A private one needs a token: --token-file FILE, or HF_TOKEN.",
        ) from error
    except errors.EntryNotFoundError as error:
        raise NotFoundError(f"The hub has no {what}.") from error
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", "no")
        bad = " Is the token right?" if status in {401, 403} else ""
        raise UserError(f"The hub refused {what} (status {status}).{bad}", hint="Try again later.") from error
    except gone as error:
        raise UserError(
            f"The hub cannot be reached for {what} ({type(error).__name__}). What was fetched is kept.",
            hint=f"Is there a network? Import it again to go on. {LOCAL}",
        ) from error
