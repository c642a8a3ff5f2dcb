-- Budgets of keys, in tokens, and what each key has spent by the day.

ALTER TABLE keys ADD COLUMN tokens_per_day BIGINT;
ALTER TABLE keys ADD COLUMN tokens_per_month BIGINT;

CREATE TABLE key_tokens (
    key_id TEXT NOT NULL,                           -- keys.id
    day INTEGER NOT NULL,                           -- days since the epoch, UTC
    tokens BIGINT NOT NULL,
    PRIMARY KEY (key_id, day)
);
