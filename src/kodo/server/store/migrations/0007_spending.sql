-- What a key has spent stands in tokens and in dollars, and is written with the end of a response: the name says so now.
-- (PostgreSQL has the old table beside it, for servers of the version before.)

ALTER TABLE key_tokens RENAME TO key_spending;
