"""Errors that a person can act on: what was wrong, where, and what to do next.

Commands print them on one line and exit with 1; the API answers with their status.
"""


class UserError(Exception):
    """Something the user asked for cannot be done. ``message`` says why, ``hint`` what to do."""

    status = 400

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}".strip())


class NotFoundError(UserError):
    """What was named does not exist."""

    status = 404


class ConflictError(UserError):
    """What was asked for does not fit the present state."""

    status = 409


class InvalidInputError(UserError):
    """A value is not allowed; the message names it."""

    status = 422


class TooManyError(UserError):
    """Asked too often, or for too much at once; the message says when to try again."""

    status = 429
