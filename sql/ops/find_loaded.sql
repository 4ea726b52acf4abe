-- The last run that loaded a source with this digest into a target, and that no run has taken back.
-- params: target, digest, run
-- returns: id
SELECT r.id
FROM ops_run AS r
WHERE
    r.job = 'ops.upsert'
    AND r.verb = 'apply'
    AND r.target = %(target)s::text
    AND r.result ->> 'digest' = %(digest)s::text
    AND r.id <> %(run)s::bigint
    AND r.changed > 0
    AND NOT EXISTS (SELECT 1 FROM ops_run AS b WHERE b.reverts_id = r.id AND b.state = 'done')
ORDER BY r.id DESC
LIMIT 1
