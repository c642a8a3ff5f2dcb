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
