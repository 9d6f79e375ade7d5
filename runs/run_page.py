"""What every page about one run has in common: its head, what can be done to it, and the tabs."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import Http404
from django.urls import reverse

from runs.models import Run
from runs.pages.head import Head, head_of
from runs.states import Kind
from runs.verbs import offered
from runs.waiting import waiting_reason
from tunix_site.roles import covers, user_scope

# Name, label and the name of the address of each tab, in the order of the page.
TABS: Final = [
    ("overview", "Overview", "runs:detail"),
    ("charts", "Charts", "runs:charts"),
    ("samples", "Samples", "runs:samples"),
    ("evaluations", "Evaluations", "runs:evaluations"),
    ("playground", "Playground", "runs:playground"),
    ("logs", "Logs", "runs:logs"),
    ("config", "Config", "runs:config"),
    ("checkpoints", "Checkpoints", "runs:checkpoints"),
    ("attempts", "Attempts", "runs:attempts"),
    ("system", "System", "runs:system"),
    ("provenance", "Provenance", "runs:provenance"),
    ("notes", "Notes", "runs:notes"),
    ("recipe", "Recipe", "runs:recipe"),
]
# Tabs that only some kinds of runs have anything for; the others are for all.
KINDS_OF: Final[dict[str, frozenset[Kind]]] = {
    "charts": frozenset({Kind.TRAIN, Kind.IMPORTED}),
    "samples": frozenset({Kind.TRAIN, Kind.EVALUATE}),
    "evaluations": frozenset({Kind.TRAIN, Kind.EVALUATE}),
    "playground": frozenset({Kind.TRAIN, Kind.PLAYGROUND}),
    "checkpoints": frozenset({Kind.TRAIN}),
    "system": frozenset(Kind) - {Kind.IMPORTED},
    "recipe": frozenset({Kind.TRAIN}),
}
NOT_EXACT_SHOWN: Final = 5
LONGEST_ID: Final = 19


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of a run's page; each has an address of its own."""

    name: str
    label: str
    url: str


def tabs_of(run: Run) -> list[Tab]:
    """List the tabs that make sense for a run of this kind."""
    return [
        Tab(name, label, reverse(address, args=[run.pk]))
        for name, label, address in TABS
        if name not in KINDS_OF or run.kind in KINDS_OF[name]
    ]


def frame(run: Run, *, user: AbstractBaseUser | AnonymousUser, tab: str) -> dict[str, Any]:
    """Give what ``runs/page.html`` needs around any tab."""
    scope = user_scope(user)
    verbs = offered(run, scope=scope)
    tabs = tabs_of(run)
    head: Head = head_of(run)
    return {
        "run": run,
        "head": head,
        "tab": tab,
        "tab_label": next((label for name, label, _ in TABS if name == tab), ""),
        "tabs": tabs,
        "tab_urls": {one.name: one.url for one in tabs},
        "inexact": list(run.attempts.exclude(inexact="").order_by("-number")[:NOT_EXACT_SHOWN]),
        "actions": [(verb, verb.label_for(run)) for verb in verbs if not verb.needs],
        "queue_verbs": {verb.name for verb in verbs if verb.needs},
        "waiting": waiting_reason(run),
        "may_operate": covers(scope, "operate"),
    }


def found_run(run_id: int) -> Run:
    """Find the run that a page is about, with what its head names, or answer 404."""
    rows = Run.objects.select_related("dataset", "owner", "parent")
    run = rows.filter(pk=run_id).first() if len(str(run_id)) < LONGEST_ID else None
    if run is None:
        raise Http404(f"There is no run {run_id}.")
    return run
