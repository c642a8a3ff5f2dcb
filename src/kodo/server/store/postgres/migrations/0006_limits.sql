-- What all servers together have used of the limits of keys. Not in the write-ahead log: after a crash of the database every
-- bucket is full again, and the servers say anew what they are running.

CREATE UNLOGGED TABLE limit_levels (
    account TEXT PRIMARY KEY,                       -- keys.id, or 'default' where there are none
    requests DOUBLE PRECISION,                      -- left in the bucket, when it was last asked for
    tokens DOUBLE PRECISION,
    servers JSONB NOT NULL,                         -- nodes.epoch: [requests and tokens used since it began, requests running]
    at TIMESTAMPTZ NOT NULL
);

-- The folder of files that a server sees: the id in it, which is the same where the folder is.
ALTER TABLE nodes ADD COLUMN folder TEXT;
