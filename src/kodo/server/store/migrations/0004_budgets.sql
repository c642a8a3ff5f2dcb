-- Budgets of keys, in tokens, and what each key has spent by the day.

ALTER TABLE keys ADD COLUMN tokens_per_day INTEGER;
ALTER TABLE keys ADD COLUMN tokens_per_month INTEGER;

CREATE TABLE key_tokens (
    key_id TEXT NOT NULL,                           -- keys.id
    day INTEGER NOT NULL,                           -- days since the epoch, UTC
    tokens INTEGER NOT NULL,
    PRIMARY KEY (key_id, day)
);
