-- What opens a socket, or a stream of events, in the place of a key.

-- One row a ticket that nobody has used. It goes with its use, or with a later ticket once its time is over.
CREATE TABLE tickets (
    token      text   NOT NULL PRIMARY KEY,                     -- SHA-256 of the ticket, in hex
    key_id     text,                                            -- null: no key was needed
    secret     text   NOT NULL,                                 -- the key's at that time: another one ends the ticket
    session    text,                                            -- the token in `sessions` of who asked for it by one
    expires_at bigint NOT NULL
);
CREATE INDEX tickets_expiry ON tickets (expires_at);
