-- What tasks cost.

-- How long each node ran an owner's tasks of a type on each day, for what that costs in a month.
CREATE TABLE days (
    day    bigint NOT NULL,                                     -- since 1970, in UTC
    node   text   NOT NULL,
    owner  text   NOT NULL,
    type   text   NOT NULL,
    run_ms bigint NOT NULL CHECK (run_ms >= 0),                 -- of attempts that ended on that day
    PRIMARY KEY (day, node, owner, type)
);
