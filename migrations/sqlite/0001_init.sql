-- Errand's tables, for SQLite. The twin in ../postgres has the same names and columns.
-- Times are milliseconds since 1970 in UTC; JSON is kept as text, byte for byte.

-- One row a task, from submit to retention.
CREATE TABLE tasks (
    id                  BLOB    NOT NULL PRIMARY KEY,           -- UUIDv7: sorts by creation
    type                TEXT    NOT NULL,
    name                TEXT,
    queue               TEXT    NOT NULL,
    priority            INTEGER NOT NULL CHECK (priority BETWEEN -100 AND 100),
    tags                TEXT    NOT NULL,                       -- JSON array of strings
    owner               TEXT    NOT NULL,
    client_id           TEXT    NOT NULL,
    params              TEXT    NOT NULL,                       -- JSON, as sent
    result              TEXT,                                   -- JSON, once SUCCESS
    error               TEXT,                                   -- JSON {code, message, attempt}
    progress            TEXT,                                   -- JSON, as last said
    status              INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),  -- src/task/status.rs
    ready               INTEGER NOT NULL CHECK (ready IN (0, 1)),         -- PENDING and due: may be claimed
    attempt             INTEGER NOT NULL CHECK (attempt >= 0),  -- claims so far
    failures            INTEGER NOT NULL CHECK (failures >= 0), -- count against max_attempts
    losses              INTEGER NOT NULL CHECK (losses >= 0),   -- lost workers
    max_attempts        INTEGER NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    backoff             TEXT,                                   -- JSON; NULL is the default
    timeout_seconds     INTEGER CHECK (timeout_seconds > 0),
    lease               BLOB,                                   -- the right to write this attempt
    lease_until         INTEGER,
    worker              TEXT,
    run_at              INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    updated_at          INTEGER NOT NULL,
    cancel_requested_at INTEGER,
    version             INTEGER NOT NULL,
    CHECK ((status = 1) = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CHECK ((status >= 2) = (finished_at IS NOT NULL)),
    CHECK ((status = 2) = (result IS NOT NULL)),
    CHECK (ready = 0 OR status = 0)
) STRICT, WITHOUT ROWID; -- looked up by id all the time: one tree instead of two

-- The claim's order, and nothing in it that may not be claimed now.
CREATE INDEX tasks_ready ON tasks (priority DESC, run_at, id) WHERE ready = 1;
-- What waits for its time.
CREATE INDEX tasks_due ON tasks (run_at) WHERE status = 0 AND ready = 0;
-- Leases, for the janitor.
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE status = 1;
-- Lists of what needs a look; SUCCESS is common and found by walking the ids.
CREATE INDEX tasks_unhappy ON tasks (status, id) WHERE status IN (3, 4);

-- Every transition, in commit order: seq is given out under the one writer's transaction.
CREATE TABLE changes (
    seq                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at                  INTEGER NOT NULL,
    event               INTEGER NOT NULL,                       -- src/task/event.rs
    task_id             BLOB    NOT NULL,
    owner               TEXT    NOT NULL,
    from_status         INTEGER,                                -- NULL for the submit
    -- the task right after, as far as it can change
    status              INTEGER NOT NULL,
    error               TEXT,
    progress            TEXT,
    attempt             INTEGER NOT NULL,
    failures            INTEGER NOT NULL,
    losses              INTEGER NOT NULL,
    worker              TEXT,
    run_at              INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    cancel_requested_at INTEGER,
    version             INTEGER NOT NULL,
    actor               TEXT                                    -- the caller's client id, if a caller did it
) STRICT;
CREATE INDEX changes_task ON changes (task_id, seq);

-- How many tasks stand in a status; kept with every transition. Read as sum(n) by key.
CREATE TABLE counts (
    owner  TEXT    NOT NULL,
    queue  TEXT    NOT NULL,
    type   TEXT    NOT NULL,
    status INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (owner, queue, type, status)
) STRICT, WITHOUT ROWID;

-- Log lines of attempts.
CREATE TABLE log_lines (
    seq     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    task_id BLOB    NOT NULL,
    attempt INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    level   INTEGER NOT NULL,
    message TEXT    NOT NULL
) STRICT;
CREATE INDEX log_lines_task ON log_lines (task_id, seq);

-- Uploads: a row names a file that is whole and on disk.
CREATE TABLE files (
    id           BLOB    NOT NULL PRIMARY KEY,
    owner        TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    bytes        INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    sha256       TEXT    NOT NULL,
    location     TEXT    NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;

-- Output files; written with the transition to SUCCESS and never before.
CREATE TABLE artifacts (
    task_id      BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    bytes        INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    sha256       TEXT    NOT NULL,
    location     TEXT    NOT NULL,
    PRIMARY KEY (task_id, name)
) STRICT, WITHOUT ROWID;

-- Idempotency keys with the first answer; written with the tasks they made.
CREATE TABLE idempotency (
    owner       TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    answer      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (owner, route, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

-- What each node did in each minute, for charts and percentiles.
CREATE TABLE minutes (
    minute    INTEGER NOT NULL,
    node      TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    submitted INTEGER NOT NULL,
    started   INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    waits     TEXT    NOT NULL,                                 -- JSON histogram, src/queue/pace.rs
    runs      TEXT    NOT NULL,
    PRIMARY KEY (minute, node, owner, type)
) STRICT, WITHOUT ROWID;

-- The log reaches back to entries behind this number.
CREATE TABLE log_start (
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO log_start (seq) VALUES (0);
