-- Tell what is wrong with a text as a value of a type; null where nothing is.
-- params: value, kind
-- returns: found
SELECT ops_input_error(%(value)s::text, %(kind)s::text) AS found
