import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datasets_app", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(help_text="the dataset that it goes into", max_length=100)),
                (
                    "request",
                    models.JSONField(
                        default=dict, help_text="format, split, mapping and the like, as asked for"
                    ),
                ),
                ("file_name", models.CharField(max_length=255)),
                ("file_bytes", models.PositiveBigIntegerField(default=0)),
                (
                    "status",
                    models.CharField(
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
                (
                    "format",
                    models.CharField(blank=True, help_text="the format it was read as", max_length=40),
                ),
                ("bytes_done", models.PositiveBigIntegerField(default=0)),
                (
                    "imported",
                    models.PositiveIntegerField(default=0, help_text="traces that are new to the dataset"),
                ),
                (
                    "existing",
                    models.PositiveIntegerField(default=0, help_text="traces that the dataset held already"),
                ),
                (
                    "refused",
                    models.PositiveIntegerField(default=0, help_text="lines that could not be taken"),
                ),
                ("cancel_asked", models.BooleanField(default=False)),
                ("error", models.TextField(blank=True)),
                ("notes", models.JSONField(blank=True, default=list)),
                (
                    "host",
                    models.CharField(
                        blank=True, help_text="machine and process that carry it out", max_length=100
                    ),
                ),
                ("process", models.PositiveIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("heartbeat_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("finished_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "dataset",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="datasets_app.dataset",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "unpublished",
                    models.ForeignKey(
                        blank=True,
                        help_text="the content while it is written, unseen",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="datasets_app.dataset",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
    ]
