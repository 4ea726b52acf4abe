-- Let vacuum come often to the versions of tags, which are merged as they are added.
ALTER TABLE ops_tagversion SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
)
