-- Fill the pages of subscriptions to the brim again.
ALTER TABLE billing_subscription RESET (fillfactor)
