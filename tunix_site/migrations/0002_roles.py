"""The three roles as groups. Permissions are made here, for Django makes them only after all migrations."""

from django.db import migrations

SCOPES = [
    ("read", "viewer", "Role viewer: look at everything"),
    ("operate", "operator", "Role operator: start, stop and import"),
    ("admin", "admin", "Role admin: everything"),
]


def make_roles(apps, schema_editor):
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="tunix_site", model="apitoken"
    )
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    held = []
    for scope, group_name, label in SCOPES:
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type, codename=f"scope_{scope}", defaults={"name": label}
        )
        held.append(permission)
        group, _ = Group.objects.get_or_create(name=group_name)
        group.permissions.add(*held)


class Migration(migrations.Migration):
    dependencies = [
        ("tunix_site", "0001_tokens_and_audit"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
