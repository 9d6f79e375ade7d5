"""The tab of the config: every field as it was frozen, what it means, and what differs from the default."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from runs.models import Run
from runs.run_page import found_run, frame
from training.config import TrainConfig
from tunix_site.auth import scope_required


@dataclass(frozen=True, slots=True)
class ConfigField:
    """A field of the frozen config; ``default`` is None where the field is no longer known."""

    name: str
    value: Any
    default: Any
    about: str
    changed: bool


@require_GET
@scope_required("read")
def config(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show the frozen config: all of it, what a search finds, or only what was changed."""
    run = found_run(run_id)
    fields = config_fields(run)
    wanted, only_changed = request.GET.get("q", "").strip()[:200], request.GET.get("changed") == "1"
    shown = [one for one in fields if _fits(one, wanted) and (one.changed or not only_changed)]
    context = {
        **frame(run, user=request.user, tab="config"),
        "fields": shown,
        "total": len(fields),
        "changed": sum(one.changed for one in fields),
        "q": wanted,
        "only_changed": only_changed,
        "config_json": json.dumps(run.config, indent=2, ensure_ascii=False),
        "params_json": json.dumps(run.params, indent=2, ensure_ascii=False) if run.params else "",
    }
    return render(request, "runs/tab_config.html", context)


def config_fields(run: Run) -> list[ConfigField]:
    """List the frozen config, field by field."""
    found = []
    for name, value in run.config.items():
        field = TrainConfig.model_fields.get(name)
        default = field.default if field else None
        about = (field.description or "") if field else "no field of today's config"
        found.append(ConfigField(name, value, default, about, value != default))
    return found


def _fits(one: ConfigField, wanted: str) -> bool:
    text = f"{one.name} {one.value} {one.about}".casefold()
    return all(word in text for word in wanted.casefold().split())
