"""Chat templates are programs by strangers: run with no way out and bounded in work. Imports no JAX.

Beyond Jinja's own sandbox, each turn of a loop and each call counts, texts cannot outgrow a limit, and only
filters and methods that chat templates have a use for are there.
"""

import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.filters import make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from training.hf.conventions import FIXED_DATE, SPAN_BEGIN, SPAN_END

MAX_TURNS: Final = 50_000
MAX_TEXT: Final = 4_000_000

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


class _GenerationBlocks(Extension):
    """``{% generation %} … {% endgeneration %}``: what an assistant wrote, as the template sees it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        begin, end = (
            nodes.Output([nodes.TemplateData(mark)], lineno=line) for mark in (SPAN_BEGIN, SPAN_END)
        )
        return [begin, *body, end]


class _Counting(NodeTransformer):
    """Lets each turn of a loop count, and joins texts where their size can be seen."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        tick = nodes.Call(nodes.EnvironmentAttribute("tick"), [], [], None, None)
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        self.generic_visit(node)
        joined = nodes.EnvironmentAttribute("joined")
        return nodes.Call(joined, node.nodes, [], None, None, lineno=node.lineno)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with the settings that chat templates expect, in which no template can do harm or go on for
    ever."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_GenerationBlocks, "jinja2.ext.loopcontrols"],
            finalize=self._finalized,
        )
        self._used = threading.local()
        known = self.filters
        self.filters = {name: known[name] for name in _FILTERS}
        self.filters |= {"tojson": _tojson, "replace": self._replaced, "join": self._joined_filter}
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}

    def compiled(self, source: str) -> Template:
        """Compile a template so that its loops count.

        Raises:
            jinja2.TemplateError, RecursionError: for a text that is no template.
        """
        tree: nodes.Template = _Counting().visit(self.parse(source))
        return self.from_string(tree)

    def rendered(self, template: Template, values: Mapping[str, Any]) -> str:
        """Run a template once, within its bounds."""
        self._used.turns, self._used.size = 0, 0
        text = template.render(values)
        self._fits(len(text))
        return text

    def tick(self) -> str:
        """Count one turn of a loop, or one call."""
        self._used.turns = getattr(self._used, "turns", 0) + 1
        if self._used.turns > MAX_TURNS:
            raise TemplateStopped(f"it takes more than {MAX_TURNS:,} turns of loops and calls")
        return ""

    def joined(self, *parts: Any) -> str:
        """Join texts as ``~`` does."""
        texts = [str(part) for part in parts]
        self._fits(sum(map(len, texts)))
        return "".join(texts)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow a text only the methods that chat templates have a use for."""
        if isinstance(obj, str) and attr not in _METHODS:
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
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name == "replace" and len(args) >= 2:
            __self._fits(_size_after(owner, str(args[0]), str(args[1])))
        elif isinstance(owner, str) and name == "join" and args:
            args = (list(args[0]), *args[1:])
            __self._fits(sum(len(str(one)) + len(owner) for one in args[0]))
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what cannot grow without end."""
        self.tick()
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self._fits(len(left) + len(right))
        elif operator == "%" and isinstance(left, str):
            if re.search(r"%[^a-zA-Z%]*(\d{4}|\*)", left):
                raise TemplateStopped("it formats a text to a great width")
        elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            sized, times = (left, right) if hasattr(left, "__len__") else (right, left)
            self._fits(len(sized) * times if isinstance(times, int) else 0)
        elif operator == "**" or (operator == "*" and isinstance(left, int) and isinstance(right, int)):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if not isinstance(bits, int) or bits > 1024:
                raise TemplateStopped("it computes numbers beyond all use")
        return super().call_binop(context, operator, left, right)

    def _finalized(self, value: Any) -> Any:
        if isinstance(value, str):
            self._used.size = getattr(self._used, "size", 0) + len(value)
            self._fits(self._used.size)
        return value

    def _fits(self, size: int) -> None:
        if size > MAX_TEXT:
            raise TemplateStopped(f"it writes more than {MAX_TEXT:,} characters")

    def _replaced(self, text: Any, old: Any, new: Any, count: int | None = None) -> str:
        whole, before, after = str(text), str(old), str(new)
        self._fits(_size_after(whole, before, after))
        return whole.replace(before, after, -1 if count is None else count)

    def _joined_filter(self, value: Any, d: Any = "", attribute: Any = None) -> str:
        values = list(value if attribute is None else map(make_attrgetter(self, attribute), value))
        texts = [str(one) for one in values]
        self._fits(len(texts) * len(str(d)) + sum(map(len, texts)))
        return str(d).join(texts)


def told(error: Exception) -> str:
    """Say in a few words why a template failed."""
    said = str(error).strip().rstrip(".")[:500]
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {said}"
    return said if isinstance(error, TemplateStopped) else f"{type(error).__name__}: {said}"


def _size_after(text: str, old: str, new: str) -> int:
    return len(text) + (text.count(old) if old else len(text) + 1) * len(new)


def _raise_exception(message: Any) -> None:
    raise TemplateStopped(str(message)[:500])


def _strftime_now(form: Any) -> str:
    return FIXED_DATE.strftime(str(form)[:100])


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    if indent is not None and not 0 <= indent <= 16:
        raise TemplateStopped(f"it indents by {indent}")
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
