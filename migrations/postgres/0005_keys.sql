-- Who may call: keys, and the browsers that signed in with one.

-- One row a key, kept when it is revoked. The secret itself is kept nowhere.
CREATE TABLE keys (
    id           text   NOT NULL PRIMARY KEY,                   -- public: it stands in the key
    owner        text   NOT NULL,
    name         text,                                          -- what people call it
    role         text   NOT NULL,                               -- src/task/role.rs
    secret       text   NOT NULL,                               -- its SHA-256, in hex
    types        text,                                          -- JSON list it is limited to
    queues       text,                                          -- JSON list it is limited to
    created_at   bigint NOT NULL,
    expires_at   bigint,
    revoked_at   bigint,
    last_used_at bigint                                         -- to the minute
);

-- Rises with every change of `keys` but of last_used_at: a node asks for this number and reads the keys
-- where it has moved.
CREATE TABLE key_changes (
    n bigint NOT NULL
);
INSERT INTO key_changes (n) VALUES (0);

-- One row a browser that is signed in.
CREATE TABLE sessions (
    token      text   NOT NULL PRIMARY KEY,                     -- SHA-256 of what its cookie holds, in hex
    key_id     text   NOT NULL,
    secret     text   NOT NULL,                                 -- the key's at that time: another one ends the session
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
