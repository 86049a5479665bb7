-- What an owner has seen of the ends of its tasks. The notifications themselves are read from `tasks`.

-- One row an owner that ever marked anything. A place is `<finished_at>-<task id>`, as in a notification's id.
CREATE TABLE notification_marks (
    owner         text   NOT NULL PRIMARY KEY,
    read_until    text,                                         -- a place: up to there it is read
    cleared_until text,                                         -- a place: up to there it is shown no more
    apart         text   NOT NULL,                              -- JSON list of at most 200 places that are the other way round
    muted         text   NOT NULL,                              -- JSON list of at most 100 of {"type"}, {"queue"}, {"status"}
    version       bigint NOT NULL CHECK (version > 0),          -- grows by one with each change: writes are by compare
    updated_at    bigint NOT NULL
);
