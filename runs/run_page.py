"""What every page about one run has in common: its head, what can be done to it, and the tabs."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import Http404
from django.urls import reverse

from runs.models import Run
from runs.selectors import get_run
from runs.verbs import offered
from runs.waiting import waiting_reason
from tunix_site.errors import NotFoundError
from tunix_site.roles import covers, user_scope

# Name, label and the name of the address of each tab, in the order of the page.
TABS: Final = [("overview", "Overview", "runs:detail")]


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of a run's page; each has an address of its own."""

    name: str
    label: str
    url: str


def frame(run: Run, *, user: AbstractBaseUser | AnonymousUser, tab: str) -> dict[str, Any]:
    """Give what ``runs/page.html`` needs around any tab."""
    scope = user_scope(user)
    verbs = offered(run, scope=scope)
    return {
        "run": run,
        "tab": tab,
        "tabs": [Tab(name, label, reverse(address, args=[run.pk])) for name, label, address in TABS],
        "attempts": list(run.attempts.order_by("-number")),
        "actions": [(verb, verb.label_for(run)) for verb in verbs if not verb.needs],
        "queue_verbs": {verb.name for verb in verbs if verb.needs},
        "waiting": waiting_reason(run),
        "may_operate": covers(scope, "operate"),
    }


def found_run(run_id: int) -> Run:
    """Find the run that a page is about, or answer 404."""
    try:
        return get_run(run_id=run_id)
    except NotFoundError as error:
        raise Http404(str(error)) from error
