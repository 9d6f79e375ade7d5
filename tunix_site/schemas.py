"""Shapes that every route shares: errors and bounded integers."""

from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

MAX_ROW_ID = 2**63 - 1
MAX_OFFSET = 10_000_000

PositiveId = Annotated[int, Field(ge=1, le=MAX_ROW_ID, description="primary key")]
Limit = Annotated[int, Field(ge=1, le=1000, description="rows in one answer")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, description="rows to skip")]


class FieldError(Schema):
    """One value that was not accepted."""

    loc: list[str | int] = Field(description="where it stands, for example body, payload, count")
    msg: str = Field(description="what is wrong with it")
    type: str = Field(description="the kind of mistake, for programs")


class ErrorOut(Schema):
    """What every refusal looks like."""

    detail: str = Field(description="what was wrong and what to do, for people")
    errors: list[FieldError] | None = Field(
        None, description="one entry a wrong value, where values were wrong"
    )


ERRORS: dict[Any, Any] = {
    400: ErrorOut,
    401: ErrorOut,
    403: ErrorOut,
    404: ErrorOut,
    405: ErrorOut,
    409: ErrorOut,
    413: ErrorOut,
    422: ErrorOut,
    429: ErrorOut,
}
"""The refusals that a route documents: ``response={200: Answer, **ERRORS}``."""
