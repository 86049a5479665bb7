-- Charts of a day and a week.

-- What each node did in each quarter of an hour: the minutes summed up, and kept for longer.
CREATE TABLE quarters (
    minute    INTEGER NOT NULL,                                 -- its first one, since 1970
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
