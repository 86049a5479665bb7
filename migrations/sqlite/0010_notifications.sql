-- What an owner has seen of the ends of its tasks. The notifications themselves are read from `tasks`.

-- One row an owner that ever marked anything. A place is `<finished_at>-<task id>`, as in a notification's id.
CREATE TABLE notification_marks (
    owner         TEXT    NOT NULL PRIMARY KEY,
    read_until    TEXT,                                         -- a place: up to there it is read
    cleared_until TEXT,                                         -- a place: up to there it is shown no more
    apart         TEXT    NOT NULL,                             -- JSON list of at most 200 places that are the other way round
    muted         TEXT    NOT NULL,                             -- JSON list of at most 100 of {"type"}, {"queue"}, {"status"}
    version       INTEGER NOT NULL CHECK (version > 0),         -- grows by one with each change: writes are by compare
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
