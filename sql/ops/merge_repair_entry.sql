-- Record one step of a repair, or what became of the one done_at that step.
-- params: repair, step, code, object_key, title, kind, state, detail, statements, undo_statements,
-- transactional, row_before, row_after
-- returns: step
INSERT INTO ops_repair_entry AS e (
    repair, step, code, object_key, title, kind, state, detail, statements, undo_statements,
    transactional, row_before, row_after
)
VALUES (
    %(repair)s::uuid, %(step)s::integer, %(code)s::text, %(object_key)s::text, %(title)s::text, %(kind)s::text,
    %(state)s::text, %(detail)s::text, %(statements)s::text[], %(undo_statements)s::text[], %(transactional)s::boolean,
    %(row_before)s::jsonb, %(row_after)s::jsonb
)
ON CONFLICT (repair, step) DO UPDATE
    SET state = excluded.state, detail = excluded.detail, done_at = clock_timestamp()
    WHERE e.state <> 'done'
RETURNING e.step
