from django.conf import settings
from django.db import migrations, models


def fill(apps, schema_editor):
    """Tell of the runs that are there already which base model their recipe names."""
    Run = apps.get_model("runs", "Run")
    named = Run.objects.filter(config__model__icontains="@").only("pk", "config")
    for run in named.iterator(chunk_size=500):
        base_hash = str(run.config.get("model", "")).partition("@")[2][:12]
        Run.objects.filter(pk=run.pk).update(base_hash=base_hash)


class Migration(migrations.Migration):
    dependencies = [
        ("datasets_app", "0007_import_previews"),
        ("runs", "0020_base_models"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="base_hash",
            field=models.CharField(
                blank=True,
                help_text="beginning of the hash of the base model that config names",
                max_length=12,
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["base_hash", "-id"], name="runs_of_base"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
