"""What an import can be asked for: one definition for command, API and admin."""

from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator

from datasets_app.build_request import Text200
from datasets_app.formats import FORMATS
from datasets_app.generators import FAMILIES
from datasets_app.keys import Key
from tunix_site.errors import InvalidInputError

AUTO = "auto"


class ImportRequest(BaseModel):
    """How a file is to be read, and into which dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Key = Field(description="the dataset that it goes into")
    format: str = Field(default=AUTO, description="auto, or a format's name")
    split: Literal["train", "test"] | None = Field(
        default=None, description="the side of all its traces; else the line's own, else by prompt hash"
    )
    keep_going: bool = Field(default=False, description="take the good lines although others are refused")
    mapping: dict[str, str] = Field(
        default={}, description="field names: what the format calls it → the file's"
    )
    solve: str = Field(
        default="", description="the generator family that writes the steps; empty: they are as they stand"
    )
    source: Text200 = Field(default="", description="where the traces come from, for lines that do not say")
    licence: Annotated[Text200, Field(max_length=100)] = Field(
        default="", description="their licence, for lines that do not say"
    )

    @field_validator("format")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name != AUTO and name not in FORMATS:
            raise ValueError(f"there is no format {name!r}; formats: {AUTO}, {', '.join(FORMATS)}")
        return name

    @field_validator("solve")
    @classmethod
    def _is_a_family(cls, name: str) -> str:
        if name and name not in FAMILIES:
            raise ValueError(f"there is no family {name!r}; families: {', '.join(FAMILIES)}")
        return name


def make_request(**values: object) -> ImportRequest:
    """Make a request of what a person typed.

    Raises:
        InvalidInputError: naming the value that is wrong.
    """
    try:
        return ImportRequest.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def parse_mapping(text: str) -> dict[str, str]:
    """Read ``prompt=body,answer=target``.

    Raises:
        InvalidInputError: if a part is not NAME=NAME, or a name is mapped twice.
    """
    mapping: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, own = (piece.strip() for piece in part.partition("="))
        if not (name and equals and own):
            raise InvalidInputError(
                f"--map: {part!r} is not of the form NAME=NAME.", hint="For example prompt=body."
            )
        if name in mapping:
            raise InvalidInputError(f"--map names {name!r} twice.")
        mapping[name] = own
    return mapping
