-- Retrieval indexes in use: one row per index and version.
SELECT
    tenant, -- LowCardinality(String): who used it
    retrieval_index, -- LowCardinality(String): index or corpus
    retrieval_version, -- LowCardinality(String): its version
    min(e.time) AS first_used, -- DateTime64(9, 'UTC'): first look-up
    max(e.time) AS last_used, -- DateTime64(9, 'UTC'): last look-up
    count() AS lookups, -- UInt64: look-ups
    countIf(outcome = 'error') AS errors, -- UInt64: of these, errors
    countIf(JSONLength(env, 'output') = 0) AS without_result, -- UInt64: of these, nothing captured or found
    uniqExactIf(case_id, case_id != '') AS cases, -- UInt64: business cases touched
    quantile(0.5)(e.latency_ms) AS latency_p50_ms, -- Nullable(Float64): median duration
    quantile(0.95)(e.latency_ms) AS latency_p95_ms -- Nullable(Float64): 95th percentile
FROM {database}.events AS e
WHERE event_type = 'retrieval'
GROUP BY tenant, retrieval_index, retrieval_version
