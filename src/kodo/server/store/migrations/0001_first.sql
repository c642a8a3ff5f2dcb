-- Columns that are read alone (walking a chain, listing, pruning) stand before the blobs, so that SQLite
-- need not follow a row's overflow pages to reach them.

CREATE TABLE responses (
    seq INTEGER PRIMARY KEY,                        -- order of creation; a parent's is always smaller
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    parent TEXT,                                    -- previous_response_id, as the client gave it
    parent_seq INTEGER REFERENCES responses (seq),  -- the same, where it was stored and the owner's
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    conversation TEXT,
    background INTEGER NOT NULL,
    final INTEGER NOT NULL,                         -- 1: nothing is written to it any more
    gone INTEGER NOT NULL DEFAULT 0,                -- 1: deleted, its items kept for its children
    request BLOB NOT NULL,
    response BLOB NOT NULL
);
CREATE INDEX responses_by_parent ON responses (parent_seq) WHERE parent_seq IS NOT NULL;
CREATE INDEX responses_unfinished ON responses (seq) WHERE final = 0;

CREATE TABLE documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,          -- never given out again: contexts in memory are named by it
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT,
    created_at REAL NOT NULL,
    version INTEGER NOT NULL,
    removals INTEGER NOT NULL DEFAULT 0,            -- items taken out so far; between two, its items only grow
    status TEXT,
    body BLOB NOT NULL,
    UNIQUE (owner, id, kind)
);
CREATE INDEX documents_by_place ON documents (owner, kind, parent);
CREATE INDEX documents_by_parent ON documents (owner, parent) WHERE parent IS NOT NULL;
CREATE INDEX documents_by_status ON documents (kind, status) WHERE status IS NOT NULL;

-- An item is a row of its own, once, though it may be both a response's and a conversation's.
CREATE TABLE items (
    seq INTEGER PRIMARY KEY,                        -- order inside a response
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    response INTEGER REFERENCES responses (seq),
    output INTEGER NOT NULL DEFAULT 0,              -- 1: the response's output, 0: its input
    conversation INTEGER REFERENCES documents (seq),
    place INTEGER,                                  -- order inside a conversation
    item BLOB NOT NULL,                             -- JSON
    tokens BLOB                                     -- the engine's ids, 32 bits each, little-endian
);
CREATE INDEX items_by_response ON items (response) WHERE response IS NOT NULL;
CREATE UNIQUE INDEX items_by_conversation ON items (conversation, place) WHERE conversation IS NOT NULL;
CREATE INDEX items_by_id ON items (owner, id);

-- A response's events, several to a row.
CREATE TABLE log (
    seq INTEGER PRIMARY KEY,
    response INTEGER NOT NULL REFERENCES responses (seq),
    first INTEGER NOT NULL,                         -- number of the first entry in the chunk
    next INTEGER NOT NULL,                          -- number behind the last one
    chunk BLOB NOT NULL,                            -- MessagePack, a list of byte strings
    UNIQUE (response, first)
);

CREATE TABLE replays (
    seq INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at REAL NOT NULL,
    digest BLOB NOT NULL,
    status INTEGER,                                 -- NULL: the first request still runs
    headers BLOB NOT NULL,                          -- JSON
    body BLOB NOT NULL,
    UNIQUE (owner, key)
);

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    project TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    created_at REAL NOT NULL,
    revoked_at REAL,
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    concurrent_requests INTEGER
);
