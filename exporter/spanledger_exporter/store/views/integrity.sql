-- Health of each chain as the store sees it: gaps, copies, equivocations, how far it is sealed and anchored.
-- This runs inside the suspect server: it is a health check. `spanledger verify` is the evidence.
SELECT
    any(r.tenant) AS tenant, -- LowCardinality(String): whose chain it is
    lower(hex(r.chain_id)) AS chain, -- String: chain, lower-case hex
    any(r.service) AS service, -- LowCardinality(String): service that wrote it
    count() AS stored_rows, -- UInt64: rows as stored, copies included
    max(r.seq) AS last_seq, -- UInt64: highest place
    max(r.seq) + 1 - uniqExact(r.seq) AS missing, -- UInt64: places without a row
    count() - uniqExact(r.seq, r.row_hash) AS copies, -- UInt64: benign repeated deliveries
    uniqExact(r.seq, r.row_hash) - uniqExact(r.seq) AS equivocations, -- UInt64: places with two histories: an alarm for ever
    fromUnixTimestamp64Nano(toInt64(min(r.time_ns)), 'UTC') AS first_time, -- DateTime64(9, 'UTC'): first row written
    fromUnixTimestamp64Nano(toInt64(max(r.time_ns)), 'UTC') AS last_time, -- DateTime64(9, 'UTC'): last row written
    CAST(countIf(r.event_type = 'chain.close') > 0, 'Bool') AS closed, -- Bool: ended cleanly
    sumIf(greatest(JSONExtractUInt(r.env, 'loss', 'count'), JSONExtractUInt(r.env, 'loss', 'events'), 1), r.event_type = 'loss') AS lost_events, -- UInt64: events reported as lost
    any(s.sealed) AS sealed_rows, -- UInt64: rows under a sealed segment
    any(s.anchored) AS anchored_rows, -- UInt64: rows under an anchored checkpoint
    max(r.seq) + 1 - least(max(r.seq) + 1, any(s.sealed)) AS unsealed_rows, -- UInt64: rows not sealed yet
    max(r.stored_at) AS last_stored -- DateTime64(6, 'UTC'): when the store took the last row
FROM {database}.rows AS r
LEFT JOIN ({sealed}) AS s ON s.chain = lower(hex(r.chain_id))
GROUP BY r.chain_id
