-- Leave room on the pages of versions, so that a stripe is rewritten in place, and let vacuum come often.
ALTER TABLE ops_tableversion SET (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 1000000,
    autovacuum_vacuum_cost_delay = 0
)
