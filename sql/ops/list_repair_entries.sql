-- What a repair did, in its order.
-- params: repair
-- returns: step, done_at, code, object_key, title, kind, state, detail, statements, undo_statements,
-- transactional, row_before, row_after, made, reverted_by
SELECT
    e.step, e.done_at, e.code, e.object_key, e.title, e.kind, e.state, e.detail, e.statements, e.undo_statements,
    e.transactional, e.row_before, e.row_after, e.made, e.reverted_by
FROM ops_repair_entry AS e
WHERE e.repair = %(repair)s::uuid
ORDER BY e.step ASC
