-- Charts of a day and a week.

-- What each node did in each quarter of an hour: the minutes summed up, and kept for longer.
CREATE TABLE quarters (
    minute    bigint  NOT NULL,                                 -- its first one, since 1970
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
