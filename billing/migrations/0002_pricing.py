"""The price rule and the triggers that keep prices, price changes and marks in step with their inputs."""

from django.db import migrations

from ops.sql import for_migration

FUNCTIONS = (
    "billing/create_next_renewal.sql",
    "billing/create_followed_version.sql",
    "billing/create_combined_price.sql",
    "billing/create_list_values.sql",
    "billing/create_price_list.sql",
    "billing/create_passed_instants.sql",
    "billing/create_apply_changes.sql",
    "billing/create_mark_inputs.sql",
    "billing/create_mark_all.sql",
    "billing/create_mark_currency.sql",
    "billing/create_mark_subscription.sql",
    "billing/create_price_inserted.sql",
    "billing/create_keep_old_value.sql",
    "billing/create_changes_written.sql",
    "billing/create_record_edit.sql",
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.RunSQL(for_migration(*FUNCTIONS), for_migration("billing/drop_functions.sql")),
        migrations.RunSQL(for_migration("billing/set_zone_check.sql"), for_migration("billing/drop_zone_check.sql")),
        migrations.RunSQL(for_migration("billing/set_fillfactor.sql"), for_migration("billing/drop_fillfactor.sql")),
        migrations.RunSQL(
            for_migration("billing/create_triggers.sql"), for_migration("billing/drop_triggers.sql")
        ),
    ]
