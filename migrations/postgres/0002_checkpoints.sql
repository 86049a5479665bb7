-- What a running attempt has done, for the attempt after it.

-- One row a name; written under the attempt's lease, gone with the success.
CREATE TABLE checkpoints (
    task_id    uuid   NOT NULL,
    name       text   NOT NULL,
    attempt    bigint NOT NULL,                                 -- which one saved it
    data       text   NOT NULL,                                 -- JSON, at most 1 MiB
    updated_at bigint NOT NULL,
    PRIMARY KEY (task_id, name)
);

-- How many names the task has there: most have none and are not looked up. Until SUCCESS.
ALTER TABLE tasks ADD COLUMN checkpoints bigint NOT NULL DEFAULT 0;
