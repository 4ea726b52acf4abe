-- Keep a tenth of each page of subscriptions free, so that the updates of prices stay on their page (HOT).
ALTER TABLE billing_subscription SET (fillfactor = 90)
