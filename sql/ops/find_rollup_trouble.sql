-- Why a report's rollup can't be used, in a word, or ''.
-- params: report, digest
-- returns: trouble
SELECT ops_rollup_trouble(%(report)s::text, %(digest)s::text) AS trouble
