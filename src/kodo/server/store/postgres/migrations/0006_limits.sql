-- What all servers together have used of the limits of keys. Not in the write-ahead log: after a crash of the database every
-- bucket is full again, and the servers say anew what they are running.

CREATE UNLOGGED TABLE limit_levels (
    account TEXT PRIMARY KEY,                       -- keys.id, or 'default' where there are none
    requests DOUBLE PRECISION,                      -- left in the bucket, when it was last asked for
    tokens DOUBLE PRECISION,
    at TIMESTAMPTZ NOT NULL
);

CREATE UNLOGGED TABLE limit_running (
    account TEXT NOT NULL,
    epoch BIGINT NOT NULL REFERENCES nodes (epoch) ON DELETE CASCADE,
    running INTEGER NOT NULL,                       -- requests that this server is answering
    PRIMARY KEY (account, epoch)
);

-- The folder of files that a server sees: the id in it, which is the same where the folder is.
ALTER TABLE nodes ADD COLUMN folder TEXT;
