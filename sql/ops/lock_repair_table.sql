-- Keep everybody from a table until the step ends: whether it may go is looked at, and then it goes.
-- idents: relation
LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE
