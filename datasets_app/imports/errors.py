"""What makes a whole file unfit, unlike a line that is refused by itself."""

from tunix_site.errors import InvalidInputError, UserError

CANCELLED = "The import was cancelled. Nothing was changed."


class UnfitFileError(InvalidInputError):
    """The file cannot be read on from here; nothing of it is taken."""


class TooLargeError(UserError):
    """The file goes beyond a limit of the settings."""

    status = 413


class CancelledError(UserError):
    """Somebody cancelled the import."""

    status = 409


class RefusedLinesError(InvalidInputError):
    """Lines were refused, so nothing was changed."""
