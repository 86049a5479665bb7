-- The order in which entries of who did what were written down, for whoever follows them.

-- Null: written before there were numbers. `id` and `at` say when it happened, which is earlier, and in another order.
ALTER TABLE activity ADD COLUMN seq INTEGER;                    -- rises in commit order: given out under the one writer's transaction
CREATE UNIQUE INDEX activity_written ON activity (seq) WHERE seq IS NOT NULL;
