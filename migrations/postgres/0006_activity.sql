-- Who did what, and what the system did. Rows are added, and deleted once they were kept long enough; never changed.

-- One row something that happened, or the same that happened again and again within about a second.
CREATE TABLE activity (
    id         uuid   NOT NULL PRIMARY KEY,                     -- UUIDv7: sorts by time
    at         bigint NOT NULL,                                 -- when it happened first
    node       text   NOT NULL,                                 -- which process wrote it down
    category   text   NOT NULL,                                 -- the action up to its dot
    action     text   NOT NULL,                                 -- src/task/activity.rs
    outcome    text   NOT NULL,                                 -- src/task/activity.rs
    status     bigint,                                          -- of the HTTP answer
    code       text,                                            -- of the problem that was answered
    owner      text,                                            -- who acted; null: the system, or nobody that is known
    key_id     text,                                            -- public; of the key that was shown, also where it was refused
    client_id  text,                                            -- as a header said it
    address    text,                                            -- of the other end of the connection
    request_id text,
    route      text,                                            -- method and path, as src/api/access.rs has it
    target     text,                                            -- id of the task, upload or key
    count      bigint NOT NULL CHECK (count >= 0),              -- how often, or of how many things
    detail     text                                             -- words of ours
);
CREATE INDEX activity_owner ON activity (owner, id) WHERE owner IS NOT NULL;

CREATE FUNCTION activity_never_changes() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'what was written down is not changed'; END $$;
CREATE TRIGGER activity_never_changes BEFORE UPDATE ON activity EXECUTE FUNCTION activity_never_changes();
