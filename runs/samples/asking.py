"""What the address of a samples page asks for, and the addresses that lead on from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from runs.samples.verdicts import FILTERS, Verdict

MAX_SEARCH = 200
HASH_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """The choices of a page: evaluation, prompt, filter, search, page, overtaken ones, other runs."""

    evaluation: int | None = None
    prompt: str = ""
    filter: str = "all"
    q: str = ""
    page: int | None = None
    overtaken: bool = False
    runs: str = ""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Asked":
        """Read an address; what cannot be meant is left out and named in ``notes``."""
        notes = []
        name = query.get("filter", "") or "all"
        if name not in FILTERS:
            notes.append(f"There is no filter “{name[:40]}”, so all prompts are shown.")
            name = "all"
        evaluation = _number(query.get("evaluation", ""))
        if evaluation is None and query.get("evaluation"):
            notes.append(f"“{query['evaluation'][:40]}” is no number of an evaluation.")
        return cls(
            evaluation=evaluation,
            prompt=query.get("prompt", "").strip().lower()[:64],
            filter=name,
            q=query.get("q", "").replace("\x00", "")[:MAX_SEARCH],
            page=_number(query.get("page", "")),
            overtaken=query.get("overtaken") == "1",
            runs=query.get("with", "")[:400],
            notes=notes,
        )

    def link(self, **changes: object) -> str:
        """Give the query string of this page with some choices changed."""
        new = replace(self, **changes)  # type: ignore[arg-type]
        named = {
            "evaluation": new.evaluation,
            "prompt": new.prompt[:HASH_SHOWN],
            "filter": new.filter if new.filter != "all" else "",
            "q": new.q,
            "page": new.page if (new.page or 1) > 1 else None,
            "overtaken": "1" if new.overtaken else "",
            "with": new.runs,
        }
        return "?" + urlencode({name: value for name, value in named.items() if value})


def find_prompt(verdicts: list[Verdict], prefix: str) -> Verdict | None:
    """Find the first prompt whose hash begins with ``prefix``; None where none does."""
    return next((one for one in verdicts if one.trace_hash.startswith(prefix)), None) if prefix else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 and int(text) else None
