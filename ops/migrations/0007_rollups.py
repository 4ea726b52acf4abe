"""The functions that keep rollups, and that make the triggers which note the buckets that were touched."""

from django.db import migrations

from ops.sql import for_migration


class Migration(migrations.Migration):
    dependencies = [("ops", "0006_versions")]

    operations = [
        migrations.RunSQL(for_migration("ops/set_rollup_storage.sql"), migrations.RunSQL.noop),
        migrations.RunSQL(
            for_migration(
                "ops/create_rollup_day.sql",
                "ops/create_rollup_ends.sql",
                "ops/create_rollup_bucket.sql",
                "ops/create_rollup_buckets.sql",
                "ops/create_rollup_tables.sql",
                "ops/create_rollup_trouble.sql",
                "ops/create_rollup_install.sql",
                "ops/create_rollup_remove.sql",
            ),
            for_migration("ops/drop_rollup_functions.sql"),
        ),
    ]
