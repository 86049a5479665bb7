-- The order in which entries of who did what were written down, for whoever follows them.

-- Null: written before there were numbers. `id` and `at` say when it happened, which is earlier, and in another order.
ALTER TABLE activity ADD COLUMN seq bigint;                     -- rises in commit order: drawn under a lock that is held to the commit
CREATE UNIQUE INDEX activity_written ON activity (seq) WHERE seq IS NOT NULL;
CREATE SEQUENCE activity_numbers AS bigint OWNED BY activity.seq;
ALTER TABLE activity ALTER COLUMN seq SET DEFAULT nextval('activity_numbers');

-- The database itself takes the lock, before a number is drawn: nodes that know nothing of numbers write here too.
CREATE FUNCTION activity_in_turn() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7472616367); RETURN NULL; END $$;
CREATE TRIGGER activity_in_turn BEFORE INSERT ON activity FOR EACH STATEMENT EXECUTE FUNCTION activity_in_turn();
