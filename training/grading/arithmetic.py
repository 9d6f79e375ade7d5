"""A small evaluator of written arithmetic: exact fractions, bounded, and never Python's own ``eval``."""

import re
from decimal import Decimal
from fractions import Fraction

MAX_CHARACTERS = 300
MAX_DIGITS = 40
MAX_DEPTH = 30
MAX_EXPONENT = 64
MAX_BITS = 4096

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+"
_TOKEN = re.compile(rf"\s*(?:(?P<number>{_NUMBER})(?P<percent>\s*%)?|(?P<operator>\*\*|//|[-+*/^()×÷x]))")
_SIGNS = str.maketrans({"−": "-", "–": "-", "·": "*", "∗": "*", "[": "(", "]": ")", "$": " ", "€": " "})
_SAME = {"x": "*", "×": "*", "÷": "/", "**": "^"}

type Token = Fraction | str


class ArithmeticTextError(ValueError):
    """A text is no arithmetic that can be worked out; the message says why."""


def evaluate(text: str) -> Fraction:
    """Work out an expression of numbers, ``+ - * / // ^``, brackets and percent signs, exactly.

    Numbers may have commas between thousands; currency signs are passed over; ``2(3+4)`` multiplies.

    Raises:
        ArithmeticTextError: for anything else, a division by zero, or a size out of bounds.
    """
    tokens = _tokens(text)
    parser = _Parser(tokens)
    value = parser.sum(0)
    if parser.at < len(tokens):
        raise ArithmeticTextError(f"{_shown(tokens[parser.at])!r} is not expected there")
    return value


def numbers_in(text: str) -> list[Fraction]:
    """Give the numbers written in an expression, in order, without signs."""
    return [token for token in _tokens(text) if isinstance(token, Fraction)]


def _tokens(text: str) -> list[Token]:
    if len(text) > MAX_CHARACTERS:
        raise ArithmeticTextError(f"longer than {MAX_CHARACTERS} characters")
    text = text.translate(_SIGNS).strip()
    if not text:
        raise ArithmeticTextError("nothing to work out")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ArithmeticTextError(f"{text[at:].strip()[:12]!r} is no number and no operation")
        at = match.end()
        if match["number"]:
            found.append(_number(match["number"], percent=match["percent"] is not None))
        else:
            found.append(_SAME.get(match["operator"], match["operator"]))
    return found


def _number(written: str, *, percent: bool) -> Fraction:
    digits = written.replace(",", "")
    if len(digits) > MAX_DIGITS:
        raise ArithmeticTextError(f"a number has more than {MAX_DIGITS} digits")
    value = Fraction(Decimal(digits))
    return value / 100 if percent else value


def _shown(token: Token) -> str:
    return token if isinstance(token, str) else str(token)


class _Parser:
    """Recursive descent: sum → product → power → number or bracket."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ArithmeticTextError(f"nested deeper than {MAX_DEPTH}")
        value = self.product(depth)
        while self.next_is("+", "-"):
            sign = self.take()
            other = self.product(depth)
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def product(self, depth: int) -> Fraction:
        value = self.power(depth)
        while self.next_is("*", "/", "//", "("):
            operator = "*" if self.next_is("(") else self.take()
            other = self.power(depth)
            if operator != "*" and other == 0:
                raise ArithmeticTextError("a division by zero")
            if operator == "//":
                value = Fraction(value // other)
            else:
                value = _bounded(value * other if operator == "*" else value / other)
        return value

    def power(self, depth: int) -> Fraction:
        if self.next_is("-", "+"):
            sign = self.take()
            if depth > MAX_DEPTH:
                raise ArithmeticTextError(f"nested deeper than {MAX_DEPTH}")
            value = self.power(depth + 1)
            return -value if sign == "-" else value
        base = self.atom(depth)
        if not self.next_is("^"):
            return base
        self.take()
        exponent = self.power(depth + 1)
        if exponent.denominator != 1 or not 0 <= exponent <= MAX_EXPONENT:
            raise ArithmeticTextError(f"an exponent that is no integer from 0 to {MAX_EXPONENT}")
        return _bounded(Fraction(base ** int(exponent)))

    def atom(self, depth: int) -> Fraction:
        if self.at >= len(self.tokens):
            raise ArithmeticTextError("it ends in the middle")
        token = self.take()
        if isinstance(token, Fraction):
            return token
        if token != "(":  # noqa: S105 - a bracket, not a secret
            raise ArithmeticTextError(f"{token!r} is not expected there")
        value = self.sum(depth + 1)
        if not self.next_is(")"):
            raise ArithmeticTextError("a bracket is not closed")
        self.take()
        return value

    def next_is(self, *operators: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at] in operators

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ArithmeticTextError("a result is too large")
    return value
