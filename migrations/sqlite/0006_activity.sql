-- Who did what, and what the system did. Rows are added, and deleted once they were kept long enough; never changed.

-- One row something that happened, or the same that happened again and again within about a second.
CREATE TABLE activity (
    id         BLOB    NOT NULL PRIMARY KEY,                    -- UUIDv7: sorts by time
    at         INTEGER NOT NULL,                                -- when it happened first
    node       TEXT    NOT NULL,                                -- which process wrote it down
    category   TEXT    NOT NULL,                                -- the action up to its dot
    action     TEXT    NOT NULL,                                -- src/task/activity.rs
    outcome    TEXT    NOT NULL,                                -- src/task/activity.rs
    status     INTEGER,                                         -- of the HTTP answer
    code       TEXT,                                            -- of the problem that was answered
    owner      TEXT,                                            -- who acted; null: the system, or nobody that is known
    key_id     TEXT,                                            -- public; of the key that was shown, also where it was refused
    client_id  TEXT,                                            -- as a header said it
    address    TEXT,                                            -- of the other end of the connection
    request_id TEXT,
    route      TEXT,                                            -- method and path, as src/api/access.rs has it
    target     TEXT,                                            -- id of the task, upload or key
    count      INTEGER NOT NULL CHECK (count >= 0),             -- how often, or of how many things
    detail     TEXT                                             -- words of ours
) STRICT, WITHOUT ROWID;
CREATE INDEX activity_owner ON activity (owner, id) WHERE owner IS NOT NULL;

CREATE TRIGGER activity_never_changes BEFORE UPDATE ON activity BEGIN
    SELECT RAISE(ABORT, 'what was written down is not changed');
END;
