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
