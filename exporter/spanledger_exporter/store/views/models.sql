-- Models in use: one row per provider and model, with the aliases under which it was asked for.
SELECT
    tenant, -- LowCardinality(String): who used it
    provider, -- LowCardinality(String): provider
    if(e.model != '', e.model, e.model_requested) AS model, -- LowCardinality(String): model that answered, or that was asked for when none did
    arraySort(groupUniqArrayIf(model_requested, model_requested != '')) AS requested_as, -- Array(String): names and aliases that applications asked for
    min(e.time) AS first_used, -- DateTime64(9, 'UTC'): first call
    max(e.time) AS last_used, -- DateTime64(9, 'UTC'): last call
    count() AS calls, -- UInt64: calls
    countIf(outcome = 'error') AS errors, -- UInt64: of these, errors
    countIf(outcome = 'incomplete') AS incomplete, -- UInt64: of these, begun and never ended
    sum(e.input_tokens) AS input_tokens, -- Nullable(UInt64): tokens in, cached ones included
    sum(e.output_tokens) AS output_tokens, -- Nullable(UInt64): tokens out
    sum(e.cost_usd) AS cost_usd, -- Nullable(Decimal(38, 9)): known cost in US dollars
    countIf(e.cost_usd IS NULL) AS calls_without_cost, -- UInt64: calls whose price is unknown
    quantile(0.5)(e.latency_ms) AS latency_p50_ms, -- Nullable(Float64): median duration
    quantile(0.95)(e.latency_ms) AS latency_p95_ms -- Nullable(Float64): 95th percentile
FROM {database}.events AS e
WHERE event_type IN ('model_call', 'embedding')
GROUP BY tenant, provider, model
