"""One row a prompt, whatever the number of texts: the first one, with the verdict on the prompt.

Where a prompt has several texts, the verdict is that on their commonest answer (the majority), and a step
that is not valid counts against the prompt only where the first text is right itself.
"""

from typing import Any

from django.db.models import BooleanField, Case, F, Q, QuerySet, When
from django.db.models.functions import Coalesce

from runs.models import Sample


def first_texts() -> QuerySet[Any]:
    """List the first texts of all prompts, each with ``right`` and ``flawed``, the verdicts on its prompt.

    Both come from columns of the index alone, so that ten thousand are read without one text.
    """
    invalid = Q(invalid_step=True) & (Q(majority_correct=None) | Q(correct=True))
    return Sample.objects.filter(draw=0).annotate(
        right=Coalesce(F("majority_correct"), F("correct")),
        flawed=Case(When(invalid, then=True), default=False, output_field=BooleanField()),
    )
