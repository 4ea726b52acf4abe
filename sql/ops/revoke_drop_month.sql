-- Let nobody but the owner prune, until it is granted.
REVOKE EXECUTE ON FUNCTION ops_drop_month(date) FROM public
