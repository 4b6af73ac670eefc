-- One row per call that can cost money: tokens, dollars and where the price comes from. Sum it by anything.
SELECT
    tenant, -- LowCardinality(String): who pays
    time, -- DateTime64(9, 'UTC'): when
    toDate(time) AS day, -- Date: day, UTC
    service, -- LowCardinality(String): service that called
    environment, -- LowCardinality(String): deployment environment
    case_id, -- String: business case
    trace_id, -- String: OpenTelemetry trace
    event_id, -- String: the call
    event_type, -- LowCardinality(String): model_call or embedding
    provider, -- LowCardinality(String): provider
    model, -- LowCardinality(String): model that answered
    model_requested, -- LowCardinality(String): model or alias asked for
    prompt_name, -- LowCardinality(String): prompt in force
    prompt_version, -- LowCardinality(String): its version
    outcome, -- LowCardinality(String): how the call ended
    input_tokens, -- Nullable(UInt64): tokens in, cached ones included
    output_tokens, -- Nullable(UInt64): tokens out
    cache_read_tokens, -- Nullable(UInt64): part of input_tokens read from cache
    cache_write_tokens, -- Nullable(UInt64): part of input_tokens written to cache
    reasoning_tokens, -- Nullable(UInt64): part of output_tokens spent on reasoning
    JSONExtractString(env, 'usage_source') AS usage_source, -- String: reported, estimated or unknown; empty means reported by the span
    cost_usd, -- Nullable(Decimal(18, 9)): cost in US dollars, NULL when the price is unknown
    JSONExtractString(env, 'cost', 'price_source') AS price_source, -- String: price list
    JSONExtractString(env, 'cost', 'price_version') AS price_version -- String: version of the price list
FROM {database}.events
WHERE event_type IN ('model_call', 'embedding')
