"""Chat templates are programs by strangers: run with no way out and bounded in work. Imports no JAX.

Beyond Jinja's own sandbox, each turn of a loop, each call and each filter counts, what is made is weighed,
and only filters and methods that chat templates have a use for are there.
"""

import functools
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.filters import do_round, make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.hf.conventions import FIXED_DATE
from training.hf.counted import GenerationBlocks, counting
from training.hf.weighing import formats_narrowly, weight

MAX_TURNS: Final = 50_000
MAX_TEXT: Final = 4_000_000
# Bytes of all texts and lists that one rendering makes, kept or not.
MAX_MADE: Final = 64_000_000
# Of the processor, in one rendering.
MAX_SECONDS: Final = 10
MAX_PLACES: Final = 20

_FILTERS: Final = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "groupby",
    "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "sort", "string", "sum", "title", "trim",
    "unique", "upper", "wordcount",
)  # fmt: skip
_METHODS: Final = frozenset(
    {
        "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii",
        "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower",
        "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition",
        "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    }
)  # fmt: skip
_GLOBALS: Final = ("range", "dict", "namespace", "joiner", "cycler")


class TemplateStopped(TemplateError):
    """A template gave up by itself, or was stopped because it went too far."""


class _Used(threading.local):
    """What one rendering has used, on its thread."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin to count."""
        self.turns, self.size, self.weight = 0, 0, 0
        self.until = time.thread_time() + MAX_SECONDS


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with the settings that chat templates expect, in which no template can do harm or go on for
    ever."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[GenerationBlocks, "jinja2.ext.loopcontrols"],
            finalize=self._finalized,
        )
        self._used = _Used()
        known = self.filters
        own = {
            "tojson": self._tojson, "replace": self._replaced, "join": self._joined_filter,
            "round": _rounded, "sum": self._summed,
        }  # fmt: skip
        filters: dict[str, Callable[..., Any]] = {name: known[name] for name in _FILTERS} | own
        self.filters = {name: self._bounded(function) for name, function in filters.items()}
        self.tests = {
            name: self._bounded(cast("Callable[..., Any]", function)) for name, function in self.tests.items()
        }
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}

    def compiled(self, source: str) -> Template:
        """Compile a template so that its loops count.

        Raises:
            jinja2.TemplateError, RecursionError: for a text that is no template.
        """
        # The compiler works out what is constant.
        self._used.begin()
        return self.from_string(counting(self.parse(source)))

    def rendered(self, template: Template, values: Mapping[str, Any]) -> str:
        """Run a template once, within its bounds."""
        self._used.begin()
        text = template.render(values)
        self._fits(len(text))
        return text

    def tick(self) -> str:
        """Count one turn of a loop, or one call, filter, test or comparison."""
        self._used.turns += 1
        if self._used.turns > MAX_TURNS:
            raise TemplateStopped(f"it takes more than {MAX_TURNS:,} turns of loops and calls")
        if time.thread_time() > self._used.until:
            raise TemplateStopped(f"it computes for more than {MAX_SECONDS} seconds")
        return ""

    def made(self, value: Any) -> Any:
        """Weigh what was made; all of it together must not weigh too much."""
        self._used.weight += self._weigh(value)
        return value

    def looked(self, value: Any) -> Any:
        """Count a comparison."""
        self.tick()
        return value

    def wrote(self, size: int) -> str:
        """Count what stands in the template itself."""
        self._used.size += size
        self._fits(self._used.size)
        return ""

    def joined(self, *parts: Any) -> str:
        """Join texts as ``~`` does."""
        self._weigh(parts)
        texts = [str(part) for part in parts]
        self._fits(sum(map(len, texts)))
        joined: str = self.made("".join(texts))
        return joined

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow a text only the methods that chat templates have a use for, and a number none."""
        if isinstance(obj, str) and attr not in _METHODS:
            return False
        if isinstance(obj, int | float):
            # int.to_bytes takes a length.
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse ``format``: widths would let a short template write a long text."""
        if super().wrap_str_format(value) is not None:
            raise SecurityError("str.format is not available to chat templates")
        return None

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls, unless that goes too far."""
        __self.tick()
        __self._weigh((args, kwargs))
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name == "replace" and len(args) >= 2:
            __self._fits(_size_after(owner, str(args[0]), str(args[1])))
        elif isinstance(owner, str) and name == "join" and args:
            args = (list(args[0]), *args[1:])
            __self._fits(sum(len(one) + len(owner) for one in args[0] if isinstance(one, str)))
        return __self.made(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what cannot grow without end."""
        self.tick()
        self._weigh((left, right))
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self._fits(len(left) + len(right))
        elif operator == "%" and isinstance(left, str):
            if not formats_narrowly(left):
                raise TemplateStopped("it formats a text to a great width")
        elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
            self._fits(len(sized) * times if isinstance(times, int) else 0)
        elif operator == "**" or (operator == "*" and isinstance(left, int) and isinstance(right, int)):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if not isinstance(bits, int) or bits > 1024:
                raise TemplateStopped("it computes numbers beyond all use")
        return self.made(super().call_binop(context, operator, left, right))

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Let a filter or a test count, and weigh what it takes and gives."""

        @functools.wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            self._weigh((args, kwargs))
            return self.made(function(*args, **kwargs))

        return bounded

    def _finalized(self, value: Any) -> Any:
        if isinstance(value, str):
            self.wrote(len(value))
            return value
        self._weigh(value)
        text = str(value)
        self.wrote(len(text))
        return text

    def _fits(self, size: int) -> None:
        if size > MAX_TEXT:
            raise TemplateStopped(f"it writes more than {MAX_TEXT:,} characters")

    def _weigh(self, value: Any) -> int:
        """Weigh what is taken or written out, which must find room beside all that was made."""
        found = weight(value, MAX_MADE - self._used.weight)
        if found + self._used.weight > MAX_MADE:
            raise TemplateStopped(f"what it makes takes more than {MAX_MADE:,} bytes")
        return found

    def _replaced(self, text: Any, old: Any, new: Any, count: int | None = None) -> str:
        whole, before, after = str(text), str(old), str(new)
        self._fits(_size_after(whole, before, after))
        return whole.replace(before, after, -1 if count is None else count)

    def _joined_filter(self, value: Any, d: Any = "", attribute: Any = None) -> str:
        values = list(value if attribute is None else map(make_attrgetter(self, attribute), value))
        texts = [str(one) for one in values]
        self._fits(len(texts) * len(str(d)) + sum(map(len, texts)))
        return str(d).join(texts)

    def _summed(self, iterable: Any, attribute: Any = None, start: Any = 0) -> Any:
        values = iterable if attribute is None else map(make_attrgetter(self, attribute), iterable)
        if not isinstance(start, int | float):
            # Each addition of lists would copy all before it.
            raise TemplateStopped("it sums what are no numbers")
        return sum(values, start)

    def _tojson(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        if indent is not None and not 0 <= indent <= 16:
            raise TemplateStopped(f"it indents by {indent}")
        encoder = json.JSONEncoder(
            ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )
        pieces, size = [], 0
        # Piece by piece, for lists in lists are indented ever further.
        for piece in encoder.iterencode(value):
            size += len(piece)
            self._fits(size)
            pieces.append(piece)
        return "".join(pieces)


def told(error: Exception) -> str:
    """Say in a few words why a template failed."""
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    said = str(error).strip().rstrip(".")[:500]
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {said}"
    return said if isinstance(error, TemplateStopped) else f"{type(error).__name__}: {said}"


def _size_after(text: str, old: str, new: str) -> int:
    return len(text) + (text.count(old) if old else len(text) + 1) * len(new)


def _raise_exception(message: Any) -> None:
    raise TemplateStopped(str(message)[:500])


def _rounded(value: Any, precision: int = 0, method: str = "common") -> Any:
    if not isinstance(precision, int) or abs(precision) > MAX_PLACES:
        raise TemplateStopped(f"it rounds to {str(precision)[:20]} places")
    return do_round(value, precision, method)  # type: ignore[arg-type]


def _strftime_now(form: Any) -> str:
    return FIXED_DATE.strftime(str(form)[:100])
