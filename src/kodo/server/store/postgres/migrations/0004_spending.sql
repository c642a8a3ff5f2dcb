-- What a key has spent on a day, which is written in the transaction that stores the end of a response: each writing connection
-- has a row of its own, or the writers of a busy key would wait for one another until they commit.

CREATE TABLE key_spending (
    key_id TEXT NOT NULL,                           -- keys.id
    day INTEGER NOT NULL,                           -- days since the epoch, UTC
    tokens BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,                       -- billionths of a US dollar
    shard INTEGER NOT NULL DEFAULT kodo_shard(),
    PRIMARY KEY (key_id, day, shard)
) WITH (fillfactor = 50);

-- Servers of the version before go on adding to key_tokens, and read only that: what they add is counted here too.
CREATE FUNCTION kodo_key_tokens_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO key_spending (key_id, day, tokens, nano_usd)
    VALUES (NEW.key_id, NEW.day, NEW.tokens - coalesce(OLD.tokens, 0), NEW.nano_usd - coalesce(OLD.nano_usd, 0))
    ON CONFLICT (key_id, day, shard) DO UPDATE SET
        tokens = key_spending.tokens + excluded.tokens, nano_usd = key_spending.nano_usd + excluded.nano_usd;
    RETURN NULL;
END $$;
CREATE TRIGGER key_tokens_added AFTER INSERT OR UPDATE ON key_tokens
    FOR EACH ROW EXECUTE FUNCTION kodo_key_tokens_added();
INSERT INTO key_spending (key_id, day, tokens, nano_usd) SELECT key_id, day, tokens, nano_usd FROM key_tokens;
