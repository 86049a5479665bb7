-- Errand's tables, for Postgres. The twin in ../sqlite has the same names and columns.
-- Times are milliseconds since 1970 in UTC; JSON is kept as text, byte for byte.

-- One row a task, from submit to retention.
CREATE TABLE tasks (
    id                  uuid    NOT NULL PRIMARY KEY,           -- UUIDv7: sorts by creation
    type                text    NOT NULL,
    name                text,
    queue               text    NOT NULL,
    priority            bigint  NOT NULL CHECK (priority BETWEEN -100 AND 100),
    tags                text    NOT NULL,                       -- JSON array of strings
    owner               text    NOT NULL,
    client_id           text    NOT NULL,
    params              text    NOT NULL,                       -- JSON, as sent
    result              text,                                   -- JSON, once SUCCESS
    error               text,                                   -- JSON {code, message, attempt}
    progress            text,                                   -- JSON, as last said
    status              bigint  NOT NULL CHECK (status BETWEEN 0 AND 4),  -- src/task/status.rs
    ready               bigint  NOT NULL CHECK (ready IN (0, 1)),         -- PENDING and due: may be claimed
    attempt             bigint  NOT NULL CHECK (attempt >= 0),  -- claims so far
    failures            bigint  NOT NULL CHECK (failures >= 0), -- count against max_attempts
    losses              bigint  NOT NULL CHECK (losses >= 0),   -- lost workers
    max_attempts        bigint  NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
    backoff             text,                                   -- JSON; NULL is the default
    timeout_seconds     bigint  CHECK (timeout_seconds > 0),
    lease               uuid,                                   -- the right to write this attempt
    lease_until         bigint ,
    worker              text,
    run_at              bigint  NOT NULL,
    created_at          bigint  NOT NULL,
    started_at          bigint ,
    finished_at         bigint ,
    updated_at          bigint  NOT NULL,
    cancel_requested_at bigint ,
    version             bigint  NOT NULL,
    CHECK ((status = 1) = (lease IS NOT NULL)),
    CHECK ((lease IS NULL) = (lease_until IS NULL)),
    CHECK ((status >= 2) = (finished_at IS NOT NULL)),
    CHECK ((status = 2) = (result IS NOT NULL)),
    CHECK (ready = 0 OR status = 0)
);

-- The claim's order, and nothing in it that may not be claimed now.
CREATE INDEX tasks_ready ON tasks (priority DESC, run_at, id) WHERE ready = 1;
-- What waits for its time.
CREATE INDEX tasks_due ON tasks (run_at) WHERE status = 0 AND ready = 0;
-- Leases, for the janitor.
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE status = 1;
-- Lists of what needs a look; SUCCESS is common and found by walking the ids.
CREATE INDEX tasks_unhappy ON tasks (status, id) WHERE status IN (3, 4);

-- Every transition, in commit order: seq is drawn under a lock that is held to the commit.
CREATE TABLE changes (
    seq                 bigint  NOT NULL PRIMARY KEY,
    at                  bigint  NOT NULL,
    event               bigint  NOT NULL,                       -- src/task/event.rs
    task_id             uuid    NOT NULL,
    owner               text    NOT NULL,
    from_status         bigint ,                                -- NULL for the submit
    -- the task right after, as far as it can change
    status              bigint  NOT NULL,
    error               text,
    progress            text,
    attempt             bigint  NOT NULL,
    failures            bigint  NOT NULL,
    losses              bigint  NOT NULL,
    worker              text,
    run_at              bigint  NOT NULL,
    started_at          bigint ,
    finished_at         bigint ,
    cancel_requested_at bigint ,
    version             bigint  NOT NULL,
    actor               text                                    -- the caller's client id, if a caller did it
);
CREATE SEQUENCE changes_seq;
CREATE INDEX changes_task ON changes (task_id, seq);

-- How many tasks stand in a status; every transition appends a row (no hot row to wait
-- for) and house-keeping folds them. Read as sum(n) by key.
CREATE TABLE counts (
    owner  text    NOT NULL,
    queue  text    NOT NULL,
    type   text    NOT NULL,
    status bigint  NOT NULL,
    n      bigint  NOT NULL
);

-- Log lines of attempts.
CREATE TABLE log_lines (
    seq     bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id uuid    NOT NULL,
    attempt bigint  NOT NULL,
    at      bigint  NOT NULL,
    level   bigint  NOT NULL,
    message text    NOT NULL
);
CREATE INDEX log_lines_task ON log_lines (task_id, seq);

-- Uploads: a row names a file that is whole and on disk.
CREATE TABLE files (
    id           uuid    NOT NULL PRIMARY KEY,
    owner        text    NOT NULL,
    name         text    NOT NULL,
    bytes        bigint  NOT NULL,
    content_type text    NOT NULL,
    sha256       text    NOT NULL,
    location     text    NOT NULL,
    created_at   bigint  NOT NULL
);

-- Output files; written with the transition to SUCCESS and never before.
CREATE TABLE artifacts (
    task_id      uuid    NOT NULL,
    name         text    NOT NULL,
    bytes        bigint  NOT NULL,
    content_type text    NOT NULL,
    sha256       text    NOT NULL,
    location     text    NOT NULL,
    PRIMARY KEY (task_id, name)
);

-- Idempotency keys with the first answer; written with the tasks they made.
CREATE TABLE idempotency (
    owner       text    NOT NULL,
    route       text    NOT NULL,
    key         text    NOT NULL,
    fingerprint text    NOT NULL,
    answer      text    NOT NULL,
    created_at  bigint  NOT NULL,
    PRIMARY KEY (owner, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- What each node did in each minute, for charts and percentiles.
CREATE TABLE minutes (
    minute    bigint  NOT NULL,
    node      text    NOT NULL,
    owner     text    NOT NULL,
    type      text    NOT NULL,
    submitted bigint  NOT NULL,
    started   bigint  NOT NULL,
    succeeded bigint  NOT NULL,
    failed    bigint  NOT NULL,
    cancelled bigint  NOT NULL,
    waits     text    NOT NULL,                                 -- JSON histogram, src/queue/pace.rs
    runs      text    NOT NULL,
    PRIMARY KEY (minute, node, owner, type)
);

-- The log reaches back to entries behind this number.
CREATE TABLE log_start (
    seq bigint  NOT NULL
);
INSERT INTO log_start (seq) VALUES (0);
