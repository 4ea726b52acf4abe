from django.db import migrations


def make(apps, schema_editor):
    schema_editor.execute("CREATE INDEX shop_py_idx ON shop_customer (phone)")


def drop(apps, schema_editor):
    schema_editor.execute("DROP INDEX shop_py_idx")


class Migration(migrations.Migration):
    dependencies = [("shop", "0008_ticket")]
    operations = [migrations.RunPython(make, drop)]
