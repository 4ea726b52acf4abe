-- Let vacuum come often to the markers of touched buckets: they are written and taken all day, and there are few.
ALTER TABLE ops_rolluptouched SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000
)
