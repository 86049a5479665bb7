-- When Postgres forgets old versions of rows. Its own measure, a fifth of the table, is two million of them behind ten
-- million tasks; a pass costs what has changed and a walk of the indexes, so not at every thousand either.

-- Each task leaves two versions and more behind.
ALTER TABLE tasks SET (
    autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 0.02
);
-- Written and folded all the time, and read whole: must stay small.
ALTER TABLE counts SET (
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0,
    autovacuum_analyze_threshold = 1000, autovacuum_analyze_scale_factor = 0
);
