"""What differs between two provenance records, and whether that could change the bits of a repeat."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from training.config import HARMLESS_FIELDS

Category = Literal["recipe", "data", "code", "packages", "device", "environment"]
NOT_RECORDED: Final = "not recorded"
NOT_INSTALLED: Final = "not installed"

# The first rule whose beginning a dotted name has decides; names without a rule are not compared.
_RULES: Final[tuple[tuple[str, Category, bool], ...]] = (
    ("config.", "recipe", True),
    # What was left to us; the rest of the resolved recipe stands in the config.
    ("resolved.micro_batch", "recipe", True),
    ("resolved.attention", "recipe", True),
    ("resolved.precision", "recipe", True),
    ("seed", "recipe", True),
    ("attention.name", "recipe", True),
    ("compute_dtype", "recipe", True),
    ("content_hash", "data", True),
    ("dataset_key", "data", False),
    ("training_code", "code", True),
    ("git_commit", "code", True),
    ("git_dirty", "code", False),
    ("git_diff_hash", "code", True),
    ("python", "packages", True),
    ("packages.", "packages", True),
    ("packages_hash", "packages", False),
    # Those that make the numbers are named above.
    ("installed.", "packages", False),
    ("device.kind", "device", True),
    ("device.device_kind", "device", True),
    ("device.platform_version", "device", True),
    ("device.memory_limit_bytes", "device", False),
    ("gpu.name", "device", True),
    ("gpu.driver_version", "device", True),
    ("gpu.cuda_driver_version", "device", True),
    ("cpu_model", "device", True),
    ("threads", "device", True),
    ("environment.XLA_FLAGS", "environment", True),
    ("environment.JAX_", "environment", True),
    ("environment.TF_CUDNN_DETERMINISTIC", "environment", True),
    ("environment.NVIDIA_TF32_OVERRIDE", "environment", True),
    ("environment.", "environment", False),
    ("jax_flags.", "environment", True),
    ("operating_system", "environment", False),
    ("hostname", "environment", False),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same; ``decides``: it could change the bits of a repeat."""

    category: Category
    name: str
    before: str
    after: str
    decides: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.before} → {self.after}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Compare two records of provenance, the deciding differences first.

    A fact that only one of them holds is named, but decides nothing: an older record knows less.
    """
    old, new = _compared(before), _compared(after)
    if not (before.get("installed") and after.get("installed")):
        # One record knows nothing of them, so that nothing can be said of each.
        old, new = _without_installed(old), _without_installed(new)
    found = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        category, decides = category_of(name)
        absent = NOT_INSTALLED if name.startswith("installed.") else NOT_RECORDED
        found.append(
            Difference(
                category,
                name,
                _text(old[name]) if name in old else absent,
                _text(new[name]) if name in new else absent,
                decides and name in old and name in new,
            )
        )
    return sorted(found, key=lambda one: (not one.decides, one.category, one.name))


def comparable_facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Give the facts of a record that are compared, as dotted names and texts."""
    return {name: _text(value) for name, value in _compared(provenance).items()}


def _compared(provenance: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in _flatten("", provenance) if _rule(name) is not None}
    return facts | dict(_installed(provenance))


def _without_installed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if not name.startswith("installed.")}


def category_of(name: str) -> tuple[Category, bool]:
    """Say what a compared fact is about, and whether it could change the bits of a repeat."""
    rule = _rule(name)
    if rule is None:
        raise ValueError(f"{name} is not compared")
    return rule[1], rule[2] and not _harmless(name)


def _rule(name: str) -> tuple[str, Category, bool] | None:
    return next((rule for rule in _RULES if name == rule[0] or _begins(name, rule[0])), None)


def _begins(name: str, rule: str) -> bool:
    return rule.endswith((".", "_")) and name.startswith(rule)


def _harmless(name: str) -> bool:
    return name.removeprefix("config.") in HARMLESS_FIELDS


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give nested facts under dotted names; what was looked for and not found counts as not recorded."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}" if prefix else str(name), item)
    elif value is not None or prefix.startswith(("config.", "environment.")):
        yield prefix, value


def _installed(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the packages of the whole list that are not among those that decide, by name."""
    named = record.get("packages") or {}
    for line in record.get("installed") or ():
        name, _, version = str(line).partition("==")
        if name not in named:
            yield f"installed.{name}", version


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
