"""Mark evaluations that runs of their own made of checkpoints which a resume has overtaken since."""

from typing import Any

from django.db import migrations


def mark(apps: Any, _: Any) -> None:
    evaluations = apps.get_model("runs", "Evaluation").objects
    evaluations.filter(checkpoint__superseded=True, superseded=False).update(superseded=True)


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0017_verdicts_of_prompts"),
    ]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
