-- Budgets of keys in US dollars too, and what each key has spent of them by the day.

ALTER TABLE keys ADD COLUMN usd_per_day DOUBLE PRECISION;
ALTER TABLE keys ADD COLUMN usd_per_month DOUBLE PRECISION;

ALTER TABLE key_tokens RENAME TO key_spending;
ALTER TABLE key_spending ADD COLUMN nano_usd BIGINT NOT NULL DEFAULT 0;  -- billionths of a US dollar
