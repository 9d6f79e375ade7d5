import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0018_evaluations_of_overtaken"),
    ]

    operations = [
        migrations.AlterField(
            model_name="generation",
            name="beside",
            field=models.OneToOneField(
                help_text="the first of a pair",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="partner",
                to="runs.generation",
            ),
        ),
    ]
