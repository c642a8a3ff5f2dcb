"""The limits of keys by the minute over all servers, as SQL: a bucket a key, by this database's clock.

One statement on a connection of its own, outside of the groups that are committed together: who holds the row of a busy key
would hold up every writer of that server.
"""

from __future__ import annotations

from kodo.server.lifecycle.records import LimitUse, SharedLimits
from kodo.server.store.sql import SqlConnection

_SHARE = """
WITH asked (account, epoch, running, rpm, tpm, requests, tokens) AS (
    SELECT CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS INTEGER), CAST(? AS FLOAT8), CAST(? AS FLOAT8),
        CAST(? AS FLOAT8), CAST(? AS FLOAT8)
), mine AS (
    INSERT INTO limit_running AS r (account, epoch, running) SELECT account, epoch, running FROM asked
    ON CONFLICT (account, epoch) DO UPDATE SET running = excluded.running
), level AS (
    INSERT INTO limit_levels AS l (account, requests, tokens, at)
    SELECT account, rpm - requests, tpm - tokens, clock_timestamp() FROM asked
    ON CONFLICT (account) DO UPDATE SET
        requests = (SELECT least(rpm, coalesce(l.requests, rpm) + rpm * passed(l.at)) - requests FROM asked),
        tokens = (SELECT least(tpm, coalesce(l.tokens, tpm) + tpm * passed(l.at)) - tokens FROM asked),
        at = greatest(l.at, excluded.at)
    RETURNING l.requests, l.tokens
)
SELECT level.requests, level.tokens,
    (SELECT CAST(coalesce(sum(r.running), 0) AS BIGINT) FROM limit_running r, asked
     WHERE r.account = asked.account AND r.epoch <> asked.epoch),
    (SELECT count(*) FROM nodes WHERE role <> 'tool')
FROM level
""".replace("passed(l.at)", "greatest(0, extract(epoch FROM clock_timestamp() - l.at)) / 60")


def share(connection: SqlConnection, epoch: int, account: str, use: LimitUse) -> SharedLimits:
    """Take what the server ``epoch`` has used from an account's buckets; what is left, and what runs on the others."""
    requests, tokens, running, servers = connection.execute(
        _SHARE,
        (
            account,
            epoch,
            use.running,
            use.requests_per_minute,
            use.tokens_per_minute,
            use.requests,
            use.tokens,
        ),
    ).fetchone()
    return SharedLimits(
        requests=requests, tokens=tokens, running_elsewhere=running, servers=max(1, int(servers))
    )
