-- Keep out who writes history, Django's own migrate, until the transaction ends; reading goes on.
LOCK TABLE django_migrations IN SHARE ROW EXCLUSIVE MODE
