-- Tools in use: one row per tool and version (the digest of its definition, where that is known).
SELECT
    tenant, -- LowCardinality(String): who used it
    tool_name, -- LowCardinality(String): tool
    JSONExtractString(env, 'snapshot', 'tools', toString(tool_name)) AS tool_version, -- String: version, or digest of the definition
    min(e.time) AS first_used, -- DateTime64(9, 'UTC'): first call
    max(e.time) AS last_used, -- DateTime64(9, 'UTC'): last call
    count() AS calls, -- UInt64: calls
    countIf(outcome = 'error') AS errors, -- UInt64: of these, errors
    countIf(outcome = 'incomplete') AS incomplete, -- UInt64: of these, begun and never ended
    round(countIf(outcome = 'error') / count(), 4) AS error_rate, -- Float64: share of errors
    quantile(0.5)(e.latency_ms) AS latency_p50_ms, -- Nullable(Float64): median duration
    quantile(0.95)(e.latency_ms) AS latency_p95_ms, -- Nullable(Float64): 95th percentile
    topKIf(3)(error_type, error_type != '') AS frequent_errors -- Array(String): most frequent errors
FROM {database}.events AS e
WHERE event_type = 'tool_call'
GROUP BY tenant, tool_name, tool_version
