"""How a text is drawn from a model, as one frozen record that flags, JSON and page share. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.config import MAX_INT
from training.errors import ConfigError

COLDEST = 0.001


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """What the model wrote after one prompt; ``tokens`` counts its tokens, EOS included."""

    text: str
    tokens: int
    stopped_at_eos: bool


class Decoding(BaseModel):
    """Settings of generation; the defaults write the likeliest token each time.

    The order is fixed: logits are divided by ``temperature``, then only the ``top_k`` likeliest
    tokens stay, then of these the fewest whose share of what is left reaches ``top_p``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        256, description="most tokens to write after the prompt"
    )
    temperature: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0, description="divides the logits before a token is drawn; 0: always the likeliest token"
    )
    top_k: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(
        0, description="draw among this many likeliest tokens; 0: all"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="draw among the fewest likeliest tokens whose probability reaches this; 1: all"
    )
    seed: Annotated[int, Field(ge=0, le=MAX_INT)] = Field(0, description="seed of the draws")
    samples: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="texts to write for each prompt")

    @property
    def greedy(self) -> bool:
        """Tell whether nothing is drawn, so that seed, top-k and top-p mean nothing."""
        return self.temperature == 0

    @model_validator(mode="after")
    def _settings_act(self) -> Self:
        """Refuse settings that would do nothing, and temperatures that fp32 cannot divide by."""
        if 0 < self.temperature < COLDEST:
            raise ValueError(f"temperature={self.temperature:g} is neither 0 (greedy) nor at least {COLDEST}")
        if not self.greedy:
            return self
        for name, off in (("top_k", 0), ("top_p", 1), ("samples", 1)):
            if (value := getattr(self, name)) != off:
                raise ValueError(
                    f"{name}={value} changes nothing at temperature=0, which always writes the likeliest "
                    "token; set temperature above 0, for example 1"
                )
        return self


def make_decoding(values: Mapping[str, Any]) -> Decoding:
    """Build the settings from plain values, or from text as flags give it.

    Raises:
        ConfigError: naming field, value and what is allowed.
    """
    try:
        return Decoding.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    parts = []
    for finding in error.errors(include_url=False):
        message = finding["msg"].removeprefix("Value error, ")
        field = ".".join(map(str, finding["loc"]))
        parts.append(f"{field}: {message} (given: {finding['input']!r})" if field else message)
    return "Bad settings of generation. " + "; ".join(parts) + "."
