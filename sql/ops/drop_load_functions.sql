-- Forget the functions of loads, where their migration is taken back.
DROP FUNCTION
ops_open_staging(bigint, integer), ops_open_merge(bigint, regclass, text[]), ops_settle_merge(bigint),
ops_drop_staging(bigint), ops_input_error(text, text)
