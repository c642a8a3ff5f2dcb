"""The limits of keys by the minute over all servers, as SQL: a row a key, by this database's clock.

One statement on a connection of its own, outside of the groups that are committed together: who holds the row of a busy key
would hold up every writer of that server. All that is counted of a key is in one row, because a statement that waited for a
row sees it as it is now, and all others as they were when it began.
"""

from __future__ import annotations

from kodo.server.lifecycle.records import LimitUse, SharedLimits
from kodo.server.store.sql import SqlConnection

_SHARE = """
WITH asked (account, epoch, running, rpm, tpm, requests, tokens, requests_told, tokens_told) AS (
    SELECT CAST(? AS TEXT), CAST(CAST(? AS BIGINT) AS TEXT), CAST(? AS INTEGER), CAST(? AS FLOAT8), CAST(? AS FLOAT8),
        CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT)
), level AS (
    INSERT INTO limit_levels AS l (account, requests, tokens, servers, at)
    SELECT account, rpm - (requests - requests_told), tpm - (tokens - tokens_told),
        jsonb_build_object(epoch, jsonb_build_array(requests, tokens, running)), clock_timestamp() FROM asked
    ON CONFLICT (account) DO UPDATE SET
        requests = (SELECT least(rpm, coalesce(l.requests, rpm) + rpm * passed(l.at))
            - (requests - coalesce(CAST(l.servers -> epoch ->> 0 AS BIGINT), requests_told)) FROM asked),
        tokens = (SELECT least(tpm, coalesce(l.tokens, tpm) + tpm * passed(l.at))
            - (tokens - coalesce(CAST(l.servers -> epoch ->> 1 AS BIGINT), tokens_told)) FROM asked),
        servers = excluded.servers || (
            SELECT coalesce(jsonb_object_agg(s.key, s.value), '{}') FROM jsonb_each(l.servers) AS s, asked
            WHERE s.key <> asked.epoch AND CAST(s.key AS BIGINT) IN (SELECT n.epoch FROM nodes AS n)
        ),
        at = greatest(l.at, clock_timestamp())  -- not excluded.at, from before the row was waited for: refilled twice
    RETURNING l.requests, l.tokens, l.servers
)
SELECT level.requests, level.tokens,
    (SELECT CAST(coalesce(sum(CAST(s.value ->> 2 AS BIGINT)), 0) AS BIGINT)
     FROM jsonb_each(level.servers) AS s, asked WHERE s.key <> asked.epoch)
FROM level
""".replace("passed(l.at)", "greatest(0, extract(epoch FROM clock_timestamp() - l.at)) / 60")


def share(connection: SqlConnection, epoch: int, account: str, use: LimitUse) -> SharedLimits:
    """Take what the server ``epoch`` has used from an account's buckets; what is left, and what runs on the others.

    It takes what the row has not heard of yet: done twice, it counts once.
    """
    requests, tokens, running = connection.execute(
        _SHARE,
        (
            account,
            epoch,
            use.running,
            use.requests_per_minute,
            use.tokens_per_minute,
            use.requests,
            use.tokens,
            use.requests_told,
            use.tokens_told,
        ),
    ).fetchone()
    return SharedLimits(requests=requests, tokens=tokens, running_elsewhere=running)
