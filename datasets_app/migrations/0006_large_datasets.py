from datetime import UTC, datetime

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


VOCABULARY = "CREATE TABLE datasets_app_vocabulary (word text NOT NULL PRIMARY KEY) WITHOUT ROWID"


def make_vocabulary(apps, schema_editor):
    """The words that searches on SQLite may end with; the other table cannot be asked for them quickly."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(VOCABULARY)


def drop_vocabulary(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE datasets_app_vocabulary")


def index_anew(apps, schema_editor):
    """The words of a trace now have its split and family among them: whoever searches next starts that."""
    connection = schema_editor.connection
    index = apps.get_model("datasets_app", "SearchIndex").objects.using(connection.alias)
    if not index.exists():
        return
    empty = {
        "sqlite": "INSERT INTO datasets_app_words(datasets_app_words) VALUES ('delete-all')",
        "postgresql": "TRUNCATE datasets_app_words",
    }
    schema_editor.execute(empty[connection.vendor])
    index.update(ready=False, done_until=0, updated_at=LONG_AGO)


class Migration(migrations.Migration):
    dependencies = [
        ("datasets_app", "0005_cancelled_builds"),
    ]

    operations = [
        migrations.RunPython(make_vocabulary, drop_vocabulary),
        migrations.RunPython(index_anew, index_anew),
        migrations.CreateModel(
            name="StoredComparison",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("completed", "completed"),
                            ("failed", "failed"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                ("content", models.JSONField(blank=True, default=dict)),
                ("error", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "a",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="datasets_app.dataset",
                    ),
                ),
                (
                    "b",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="datasets_app.dataset",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [models.UniqueConstraint(fields=("a", "b"), name="one_comparison_a_pair")],
            },
        ),
    ]
