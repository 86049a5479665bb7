-- What a running attempt has done, for the attempt after it.

-- One row a name; written under the attempt's lease, gone with the success.
CREATE TABLE checkpoints (
    task_id    BLOB    NOT NULL,
    name       TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,                                -- which one saved it
    data       TEXT    NOT NULL,                                -- JSON, at most 1 MiB
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (task_id, name)
) STRICT;

-- How many names the task has there: most have none and are not looked up. Until SUCCESS.
ALTER TABLE tasks ADD COLUMN checkpoints INTEGER NOT NULL DEFAULT 0;
