-- Everything that did not go well: errors, cancelled calls, and calls begun and never ended.
SELECT
    tenant, -- LowCardinality(String): whose event it is
    time, -- DateTime64(9, 'UTC'): when
    case_id, -- String: business case
    service, -- LowCardinality(String): service
    event_type, -- LowCardinality(String): kind of event
    name, -- LowCardinality(String): span name
    outcome, -- LowCardinality(String): error, cancelled or incomplete
    error_type, -- LowCardinality(String): class of the error
    provider, -- LowCardinality(String): provider
    model, -- LowCardinality(String): model
    tool_name, -- LowCardinality(String): tool
    attempt, -- UInt64: number of the attempt, 0 when unknown
    latency_ms, -- Nullable(Float64): duration in milliseconds
    event_id, -- String: stable id
    trace_id, -- String: OpenTelemetry trace
    chain, -- String: chain, lower-case hex
    seq, -- UInt64: place in the chain
    row_hash -- String: hash of the row, lower-case hex
FROM {database}.events
WHERE outcome IN ('error', 'cancelled', 'incomplete') OR error_type != ''
