"""The functions that move and read the versions of tables; the triggers are made after migrations (ops.cache.triggers)."""

from django.db import migrations

from ops.sql import for_migration


class Migration(migrations.Migration):
    dependencies = [("ops", "0005_reports")]

    operations = [
        migrations.RunSQL(
            for_migration("ops/create_version_sequence.sql"), for_migration("ops/drop_version_sequence.sql")
        ),
        migrations.RunSQL(
            for_migration("ops/set_version_storage.sql", "ops/set_tag_storage.sql"), migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            for_migration(
                "ops/create_versioned_name.sql",
                "ops/create_merge_stripes.sql",
                "ops/create_merge_tags.sql",
                "ops/create_merge_versions.sql",
                "ops/create_bump.sql",
                "ops/create_bump_tags.sql",
                "ops/create_move_version.sql",
                "ops/create_move_tags.sql",
                "ops/create_begin_versions_anew.sql",
                "ops/create_bump_version.sql",
                "ops/create_versions.sql",
                "ops/set_version_search_path.sql",
                "ops/revoke_version_functions.sql",
                "ops/create_table_truncated_trigger.sql",
                "ops/create_tag_truncated_trigger.sql",
            ),
            for_migration("ops/drop_version_functions.sql"),
        ),
    ]
