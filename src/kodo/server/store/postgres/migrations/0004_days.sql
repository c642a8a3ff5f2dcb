-- Sums of days, so that the overview of a month reads some thousand rows.

INSERT INTO activity_sums
SELECT 86400, start / 86400 * 86400, owner, model, sum(requests), sum(failed), sum(incomplete), sum(cancelled),
    sum(input), sum(cached), sum(output), sum(reasoning), sum(decode_tokens), sum(decode_seconds), shard
FROM activity_sums WHERE width = 3600 GROUP BY 2, 3, 4, shard;
INSERT INTO activity_first_tokens
SELECT 86400, start / 86400 * 86400, owner, model, bucket, sum(count), shard
FROM activity_first_tokens WHERE width = 3600 GROUP BY 2, 3, 4, 5, shard;
