-- What tasks cost.

-- How long each node ran an owner's tasks of a type on each day, for what that costs in a month.
CREATE TABLE days (
    day    INTEGER NOT NULL,                                    -- since 1970, in UTC
    node   TEXT    NOT NULL,
    owner  TEXT    NOT NULL,
    type   TEXT    NOT NULL,
    run_ms INTEGER NOT NULL CHECK (run_ms >= 0),                -- of attempts that ended on that day
    PRIMARY KEY (day, node, owner, type)
) STRICT, WITHOUT ROWID;
