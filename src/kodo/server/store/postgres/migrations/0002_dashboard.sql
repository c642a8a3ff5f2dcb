-- What people look at: a line for each stored response, and sums that outlive the responses. As in SQLite's 0003.

CREATE TABLE activity (
    seq BIGINT PRIMARY KEY,                         -- responses.seq
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    key_id TEXT,
    created_at DOUBLE PRECISION NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    background INTEGER NOT NULL,
    parent TEXT,
    conversation TEXT,
    input BIGINT NOT NULL DEFAULT 0,
    cached BIGINT NOT NULL DEFAULT 0,
    output BIGINT NOT NULL DEFAULT 0,
    reasoning BIGINT NOT NULL DEFAULT 0,
    queued DOUBLE PRECISION,
    first_token DOUBLE PRECISION,
    total DOUBLE PRECISION,
    title TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX activity_by_id ON activity (id);
CREATE INDEX activity_by_owner ON activity (owner, seq);
CREATE INDEX activity_by_model ON activity (model, seq);
CREATE INDEX activity_by_status ON activity (status, seq);
CREATE INDEX activity_by_parent ON activity (parent, seq) WHERE parent IS NOT NULL;

CREATE TABLE activity_sums (
    width INTEGER NOT NULL,
    start BIGINT NOT NULL,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    incomplete BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    decode_tokens BIGINT NOT NULL,
    decode_seconds DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (width, start, owner, model)
) WITH (fillfactor = 50);

CREATE TABLE activity_first_tokens (
    width INTEGER NOT NULL,
    start BIGINT NOT NULL,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (width, start, owner, model, bucket)
) WITH (fillfactor = 50);

CREATE INDEX documents_by_kind ON documents (kind, seq);

ALTER TABLE keys ADD COLUMN role TEXT NOT NULL DEFAULT 'project';
