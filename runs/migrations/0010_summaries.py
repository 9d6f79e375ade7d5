"""Fill the columns that lists show for the runs that are there already."""

import math
from statistics import median

from django.db import migrations
from django.db.models import Sum

from training.errors import ConfigError
from training.model_config import parameter_count, preset

PACE_STEPS = 21


def parameters(config):
    try:
        return parameter_count(preset(str(config.get("model", ""))))
    except ConfigError:
        return None


def rank(run, row):
    metric = run.config.get("best_metric", "eval/answer_accuracy")
    value = {"eval/loss": row.loss, "eval/step_accuracy": row.step_accuracy}.get(metric, row.answer_accuracy)
    own = row.dataset_id == run.dataset_id and row.split == "test"
    lowest = -math.inf
    if value is None or not math.isfinite(value):
        return (own, lowest, lowest, 0, row.n, row.pk)
    by_loss = lowest if row.loss is None or not math.isfinite(row.loss) else -row.loss
    return (own, -value if metric == "eval/loss" else value, by_loss, row.step, row.n, row.pk)


def fill(apps, schema_editor):
    Run, Evaluation, MetricPoint, Checkpoint = (
        apps.get_model("runs", name) for name in ("Run", "Evaluation", "MetricPoint", "Checkpoint")
    )

    def newest(run, name, count):
        points = MetricPoint.objects.filter(run_id=run.pk, name=name, superseded=False)
        return list(points.order_by("-step", "-attempt").values_list("value", flat=True)[:count])

    def typical(values):
        there = [value for value in values if value is not None]
        return median(there) if there else None

    for run in Run.objects.only("pk", "kind", "config", "dataset_id").iterator(chunk_size=500):
        about = {"made_by_id": run.pk} if run.kind == "evaluate" else {"run_id": run.pk}
        evaluations = Evaluation.objects.filter(**about, superseded=False)
        live = Checkpoint.objects.filter(run_id=run.pk, superseded=False, removed_at=None)
        Run.objects.filter(pk=run.pk).update(
            last_loss=next(iter(newest(run, "train/loss", 1)), None),
            tokens_per_second=typical(newest(run, "train/tokens_per_second", PACE_STEPS)),
            step_seconds=typical(newest(run, "train/step_time", PACE_STEPS)),
            parameters=parameters(run.config),
            checkpoint_bytes=live.aggregate(sum=Sum("size_bytes"))["sum"] or 0,
            best_evaluation=max(evaluations, key=lambda row, run=run: rank(run, row), default=None),
        )


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_listing")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
