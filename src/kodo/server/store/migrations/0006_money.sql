-- Budgets of keys in US dollars too, and what each key has spent of them by the day: key_tokens holds both. It keeps its name,
-- because a migration of a shared database only adds, and the queries are the same.

ALTER TABLE keys ADD COLUMN usd_per_day REAL;
ALTER TABLE keys ADD COLUMN usd_per_month REAL;

ALTER TABLE key_tokens ADD COLUMN nano_usd INTEGER NOT NULL DEFAULT 0;  -- billionths of a US dollar
