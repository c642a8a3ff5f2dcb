PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
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
INSERT INTO "documents" VALUES(1,'ada','c','conversation',NULL,1000.5,0,0,NULL,X'7B7D');
INSERT INTO "documents" VALUES(2,'ada','m','message','c',1000.5,1,0,'done',X'7B7D');
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
INSERT INTO "items" VALUES(1,'ada','a-in',1,0,NULL,NULL,X'7B2274797065223A226D657373616765222C226964223A22612D696E222C22737461747573223A22636F6D706C65746564222C22726F6C65223A2275736572222C22636F6E74656E74223A5B7B2274797065223A22696E7075745F74657874222C2274657874223A2261227D5D7D',NULL);
INSERT INTO "items" VALUES(2,'ada','a-out',1,1,NULL,NULL,X'7B2274797065223A226D657373616765222C226964223A22612D6F7574222C22737461747573223A22636F6D706C65746564222C22726F6C65223A22617373697374616E74222C22636F6E74656E74223A5B7B2274797065223A226F75747075745F74657874222C2274657874223A2261222C22616E6E6F746174696F6E73223A5B5D2C226C6F6770726F6273223A5B5D7D5D7D',X'070000000800000000286BEE');
INSERT INTO "items" VALUES(3,'ada','x',NULL,0,1,0,X'7B2274797065223A226D657373616765222C226964223A2278222C22737461747573223A22636F6D706C65746564222C22726F6C65223A2275736572222C22636F6E74656E74223A5B7B2274797065223A22696E7075745F74657874222C2274657874223A22E38193E38293E381ABE381A1E381AF20F09F8E89227D5D7D',NULL);
INSERT INTO "items" VALUES(4,'ada','b-in',2,0,1,1,X'7B2274797065223A226D657373616765222C226964223A22622D696E222C22737461747573223A22636F6D706C65746564222C22726F6C65223A2275736572222C22636F6E74656E74223A5B7B2274797065223A22696E7075745F74657874222C2274657874223A2262227D5D7D',NULL);
INSERT INTO "items" VALUES(5,'ada','b-out',2,1,1,2,X'7B2274797065223A226D657373616765222C226964223A22622D6F7574222C22737461747573223A22636F6D706C65746564222C22726F6C65223A22617373697374616E74222C22636F6E74656E74223A5B7B2274797065223A226F75747075745F74657874222C2274657874223A2262222C22616E6E6F746174696F6E73223A5B5D2C226C6F6770726F6273223A5B5D7D5D7D',X'070000000800000000286BEE');
INSERT INTO "items" VALUES(6,'ada','i',3,0,NULL,NULL,X'7B2274797065223A226D657373616765222C226964223A2269222C22737461747573223A22636F6D706C65746564222C22726F6C65223A2275736572222C22636F6E74656E74223A5B7B2274797065223A22696E7075745F74657874222C2274657874223A2268656C6C6F227D5D7D',NULL);
INSERT INTO "items" VALUES(7,'ada','j',3,0,NULL,NULL,X'7B2274797065223A226D657373616765222C226964223A226A222C22737461747573223A22636F6D706C65746564222C22726F6C65223A2275736572222C22636F6E74656E74223A5B7B2274797065223A22696E7075745F74657874222C2274657874223A2268656C6C6F227D5D7D',NULL);
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
INSERT INTO "keys" VALUES('key_1','ci','ada',X'0101010101010101010101010101010101010101010101010101010101010101','sk-kodo-ab…wxyz',1000.5,NULL,NULL,NULL,NULL);
CREATE TABLE log (
    seq INTEGER PRIMARY KEY,
    response INTEGER NOT NULL REFERENCES responses (seq),
    first INTEGER NOT NULL,                         -- number of the first entry in the chunk
    next INTEGER NOT NULL,                          -- number behind the last one
    chunk BLOB NOT NULL,                            -- MessagePack, a list of byte strings
    UNIQUE (response, first)
);
INSERT INTO "log" VALUES(1,3,0,2,X'92C4036F6E65C40374776F');
INSERT INTO "log" VALUES(2,3,2,3,X'91C4057468726565');
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
INSERT INTO "replays" VALUES(1,'ada','k',1000.5,X'64',200,X'5B5B2261222C2231225D2C5B2261222C2232225D5D',X'78');
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
INSERT INTO "responses" VALUES(1,'a','ada',NULL,NULL,'completed',1000.5,NULL,0,1,1,X'',X'');
INSERT INTO "responses" VALUES(2,'b','ada','a',1,'completed',1000.5,'c',0,1,0,X'7B226D6F64656C223A226D227D',X'7B7D');
INSERT INTO "responses" VALUES(3,'running','ada',NULL,NULL,'in_progress',1000.5,NULL,1,0,0,X'7B226D6F64656C223A226D227D',X'7B7D');
CREATE INDEX responses_by_parent ON responses (parent_seq) WHERE parent_seq IS NOT NULL;
CREATE INDEX responses_unfinished ON responses (seq) WHERE final = 0;
CREATE INDEX documents_by_place ON documents (owner, kind, parent);
CREATE INDEX documents_by_parent ON documents (owner, parent) WHERE parent IS NOT NULL;
CREATE INDEX documents_by_status ON documents (kind, status) WHERE status IS NOT NULL;
CREATE INDEX items_by_response ON items (response) WHERE response IS NOT NULL;
CREATE UNIQUE INDEX items_by_conversation ON items (conversation, place) WHERE conversation IS NOT NULL;
CREATE INDEX items_by_id ON items (owner, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('documents',2);
COMMIT;
PRAGMA application_id = 1802462319;
-- Files of vector stores, their chunks, and the index of their words.

CREATE TABLE search_files (
    seq INTEGER PRIMARY KEY,
    store TEXT NOT NULL,
    file TEXT NOT NULL,
    UNIQUE (store, file)
);

CREATE TABLE search_attributes (
    file INTEGER NOT NULL,                          -- search_files.seq
    name TEXT NOT NULL,
    kind TEXT NOT NULL,                             -- text, number, truth
    value NOT NULL,
    PRIMARY KEY (file, name)
) WITHOUT ROWID;

CREATE TABLE search_chunks (
    seq INTEGER PRIMARY KEY,
    file INTEGER NOT NULL,                          -- search_files.seq
    number INTEGER NOT NULL,
    start INTEGER NOT NULL,                         -- characters that the chunk before has too
    text TEXT NOT NULL,
    vector BLOB,                                    -- float32, little-endian, of length 1
    UNIQUE (file, number)
);

-- rowid is search_chunks.seq; `place` is the store, so that a search reads the rows of its stores only
CREATE VIRTUAL TABLE search_words USING fts5(terms, place, tokenize = "unicode61 remove_diacritics 0");

-- What people look at: a line for each stored response, and sums that outlive the responses. Both are written in the
-- transaction that begins or finishes a response.

CREATE TABLE activity (
    seq INTEGER PRIMARY KEY,                        -- responses.seq
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    key_id TEXT,
    created_at REAL NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    background INTEGER NOT NULL,
    parent TEXT,                                    -- previous_response_id
    conversation TEXT,
    input INTEGER NOT NULL DEFAULT 0,               -- tokens
    cached INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    reasoning INTEGER NOT NULL DEFAULT 0,
    queued REAL,                                    -- seconds, as the two below
    first_token REAL,
    total REAL,
    title TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX activity_by_id ON activity (id);
CREATE INDEX activity_by_owner ON activity (owner, seq);
CREATE INDEX activity_by_model ON activity (model, seq);
CREATE INDEX activity_by_status ON activity (status, seq);
CREATE INDEX activity_by_parent ON activity (parent, seq) WHERE parent IS NOT NULL;

CREATE TABLE activity_sums (
    width INTEGER NOT NULL,                         -- seconds: 60 or 3600
    start INTEGER NOT NULL,                         -- seconds since the epoch, a multiple of the width
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    incomplete INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    decode_tokens INTEGER NOT NULL,                 -- of answers whose decoding was timed
    decode_seconds REAL NOT NULL,
    PRIMARY KEY (width, start, owner, model)
);

CREATE TABLE activity_first_tokens (
    width INTEGER NOT NULL,
    start INTEGER NOT NULL,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    bucket INTEGER NOT NULL,                        -- a power of the fourth root of two, in milliseconds
    count INTEGER NOT NULL,
    PRIMARY KEY (width, start, owner, model, bucket)
);

CREATE INDEX documents_by_kind ON documents (kind, seq);

-- what was stored before; its times are not known
INSERT INTO activity (seq, id, owner, created_at, model, status, background, parent, conversation, input, cached, output, reasoning)
SELECT seq, id, owner, created_at,
    coalesce(json_extract(body, '$.model'), ''), status, background, parent, conversation,
    coalesce(json_extract(body, '$.usage.input_tokens'), 0),
    coalesce(json_extract(body, '$.usage.input_tokens_details.cached_tokens'), 0),
    coalesce(json_extract(body, '$.usage.output_tokens'), 0),
    coalesce(json_extract(body, '$.usage.output_tokens_details.reasoning_tokens'), 0)
FROM (
    SELECT *, CASE WHEN json_valid(CAST(response AS TEXT)) THEN CAST(response AS TEXT) ELSE '{}' END AS body
    FROM responses WHERE gone = 0
);
INSERT INTO activity_sums
SELECT width, CAST(created_at / width AS INTEGER) * width, owner, model, count(*), sum(status = 'failed'), sum(status = 'incomplete'),
    sum(status = 'cancelled'), sum(input), sum(cached), sum(output), sum(reasoning), 0, 0.0
FROM activity, (SELECT 60 AS width UNION ALL SELECT 3600)
WHERE status NOT IN ('queued', 'in_progress')
GROUP BY 1, 2, 3, 4;

ALTER TABLE keys ADD COLUMN role TEXT NOT NULL DEFAULT 'project';   -- project, admin: what it sees in the dashboard
-- Budgets of keys, in tokens, and what each key has spent by the day.

ALTER TABLE keys ADD COLUMN tokens_per_day INTEGER;
ALTER TABLE keys ADD COLUMN tokens_per_month INTEGER;

CREATE TABLE key_tokens (
    key_id TEXT NOT NULL,                           -- keys.id
    day INTEGER NOT NULL,                           -- days since the epoch, UTC
    tokens INTEGER NOT NULL,
    PRIMARY KEY (key_id, day)
);
-- Sums of days, so that the overview of a month reads some thousand rows. The tables of sums are their own index now:
-- they are read in ranges of their key.

CREATE TABLE sums (
    width INTEGER NOT NULL,                         -- seconds: 60, 3600 or 86400
    start INTEGER NOT NULL,                         -- seconds since the epoch, a multiple of the width
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    incomplete INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    decode_tokens INTEGER NOT NULL,                 -- of answers whose decoding was timed
    decode_seconds REAL NOT NULL,
    PRIMARY KEY (width, start, owner, model)
) WITHOUT ROWID;
INSERT INTO sums SELECT * FROM activity_sums;
INSERT INTO sums
SELECT 86400, start / 86400 * 86400, owner, model, sum(requests), sum(failed), sum(incomplete), sum(cancelled),
    sum(input), sum(cached), sum(output), sum(reasoning), sum(decode_tokens), sum(decode_seconds)
FROM activity_sums WHERE width = 3600 GROUP BY 2, 3, 4;
DROP TABLE activity_sums;
ALTER TABLE sums RENAME TO activity_sums;

CREATE TABLE first_tokens (
    width INTEGER NOT NULL,
    start INTEGER NOT NULL,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    bucket INTEGER NOT NULL,                        -- a power of the fourth root of two, in milliseconds
    count INTEGER NOT NULL,
    PRIMARY KEY (width, start, owner, model, bucket)
) WITHOUT ROWID;
INSERT INTO first_tokens SELECT * FROM activity_first_tokens;
INSERT INTO first_tokens
SELECT 86400, start / 86400 * 86400, owner, model, bucket, sum(count)
FROM activity_first_tokens WHERE width = 3600 GROUP BY 2, 3, 4, 5;
DROP TABLE activity_first_tokens;
ALTER TABLE first_tokens RENAME TO activity_first_tokens;
-- Budgets of keys in US dollars too, and what each key has spent of them by the day: key_tokens holds both. It keeps its name,
-- because a migration of a shared database only adds, and the queries are the same.

ALTER TABLE keys ADD COLUMN usd_per_day REAL;
ALTER TABLE keys ADD COLUMN usd_per_month REAL;

ALTER TABLE key_tokens ADD COLUMN nano_usd INTEGER NOT NULL DEFAULT 0;  -- billionths of a US dollar
-- What a key has spent stands in tokens and in dollars, and is written with the end of a response: the name says so now.
-- (PostgreSQL has the old table beside it, for servers of the version before.)

ALTER TABLE key_tokens RENAME TO key_spending;
PRAGMA user_version = 7;

