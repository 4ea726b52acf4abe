-- Drop the functions of the price rule and of its triggers.
DROP FUNCTION IF EXISTS
billing_price_list, billing_list_values, billing_combined_price, billing_followed_version, billing_next_renewal,
billing_passed_instants, billing_apply_changes, billing_mark_inputs, billing_mark_all, billing_mark_currency,
billing_mark_subscription, billing_price_inserted, billing_keep_old_value, billing_changes_written,
billing_record_edit
