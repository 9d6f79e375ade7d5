from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0016_promotion"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="sample",
            name="verdicts_of_evaluation",
        ),
        migrations.AddIndex(
            model_name="sample",
            index=models.Index(
                fields=[
                    "evaluation",
                    "trace_hash",
                    "draw",
                    "correct",
                    "majority_correct",
                    "invalid_step",
                    "position",
                ],
                name="verdicts_of_evaluation",
            ),
        ),
    ]
