-- Who may call: keys, and the browsers that signed in with one.

-- One row a key, kept when it is revoked. The secret itself is kept nowhere.
CREATE TABLE keys (
    id           TEXT    NOT NULL PRIMARY KEY,                  -- public: it stands in the key
    owner        TEXT    NOT NULL,
    name         TEXT,                                          -- what people call it
    role         TEXT    NOT NULL,                              -- src/task/role.rs
    secret       TEXT    NOT NULL,                              -- its SHA-256, in hex
    types        TEXT,                                          -- JSON list it is limited to
    queues       TEXT,                                          -- JSON list it is limited to
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER                                        -- to the minute
) STRICT;

-- Rises with every change of `keys` but of last_used_at: a node asks for this number and reads the keys
-- where it has moved.
CREATE TABLE key_changes (
    n INTEGER NOT NULL
) STRICT;
INSERT INTO key_changes (n) VALUES (0);

-- One row a browser that is signed in.
CREATE TABLE sessions (
    token      TEXT    NOT NULL PRIMARY KEY,                    -- SHA-256 of what its cookie holds, in hex
    key_id     TEXT    NOT NULL,
    secret     TEXT    NOT NULL,                                -- the key's at that time: another one ends the session
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_expiry ON sessions (expires_at);
