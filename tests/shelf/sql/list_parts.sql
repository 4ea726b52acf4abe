-- Every other counter at 7.
-- params: parity
-- returns: id, v
SELECT c.id, 7 AS v FROM shelf_counter AS c WHERE mod(c.id, 2) = %(parity)s::integer
