"""The form that fine-tunes a base model, as its page shows it, and what its button does."""

from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from datasets_app.selectors import list_datasets
from runs.base_models.finetuning import METHODS, REASONINGS, STEPS, default_reasoning, finetune
from runs.base_models.memory_table import table_for
from runs.base_models.selectors import find_row
from runs.models import BaseModel
from training.bases import Base
from tunix_site.auth import scope_required
from tunix_site.errors import InvalidInputError, UserError
from tunix_site.roles import covers, user_scope

KEYS_OFFERED: Final = 200
MAX_STEPS: Final = 10_000_000
METHOD_LABELS: Final = {
    "lora": "LoRA",
    "qlora": "QLoRA, base in 4 bits",
    "full": "all weights",
}
REASONING_LABELS: Final = {
    "think": "in <think> … </think>",
    "plain": "as plain lines",
    "reasoning_content": "as reasoning_content",
}


def finetune_context(
    row: BaseModel, base: Base | None, *, user: AbstractBaseUser | AnonymousUser, card: str = ""
) -> dict[str, Any]:
    """Give what the fragments `_memory.html` and `_finetune.html` need on the page of a base model.

    Without a ``base``, whose files are not here, there is neither a table nor a form.
    """
    may = base is not None and bool(row.tokenizer_hash) and covers(user_scope(user), "operate")
    keys = list_datasets().values_list("key", flat=True).distinct()[:KEYS_OFFERED] if may else []
    return {
        "memory": table_for(base.shape, card, positions=base.positions) if base else None,
        "may_finetune": may,
        "finetune_datasets": list(dict.fromkeys(keys)),
        "finetune_methods": [(one, METHOD_LABELS[one]) for one in METHODS],
        "finetune_reasonings": [(one, REASONING_LABELS[one]) for one in REASONINGS],
        "finetune_reasoning": default_reasoning(row),
        "finetune_steps": STEPS,
    }


@require_POST
@scope_required("operate")
def start(request: HttpRequest, address: str) -> HttpResponse:
    """Queue a run that fine-tunes this model, then show it; say why where that cannot be."""
    try:
        row = find_row(address)
    except UserError as error:
        raise Http404(str(error)) from error
    form = request.POST
    try:
        run = finetune(
            row.reference,
            dataset=form.get("dataset", "").strip(),
            method=form.get("method", "lora"),
            steps=_steps(form.get("steps", "")),
            reasoning=form.get("reasoning", ""),
            evaluate_base=form.get("evaluate_base") == "1",
            device=form.get("device") or None,
            origin=f"the page of {row.reference}",
            actor=request.user,
        )
    except UserError as error:
        messages.error(request, str(error))
        return redirect(row.get_absolute_url())
    messages.success(request, f"Run {run.pk} fine-tunes {row.name}.")
    return redirect("runs:detail", run_id=run.pk)


def _steps(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_STEPS)) and int(text)):
        raise InvalidInputError(f"steps: {text[:20]!r} is no whole number from 1 on.")
    return int(text)
