"""A build in the queue can be cancelled."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0004_prompt_hash_without_index")]

    operations = [
        migrations.AddField(
            model_name="buildtask",
            name="cancel_asked",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="buildtask",
            name="status",
            field=models.CharField(
                choices=[
                    ("queued", "queued"),
                    ("running", "running"),
                    ("completed", "completed"),
                    ("failed", "failed"),
                    ("cancelled", "cancelled"),
                ],
                default="queued",
                max_length=16,
            ),
        ),
    ]
