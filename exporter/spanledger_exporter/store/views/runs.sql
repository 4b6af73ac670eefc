-- One row per trace and tenant: what ran, how long, how many calls, tokens, dollars, and how it ended.
-- Tokens and cost come from model calls and embeddings only, so that an agent's own total is not counted twice.
SELECT
    tenant, -- LowCardinality(String): whose run it is
    trace_id, -- String: OpenTelemetry trace, lower-case hex
    anyIf(case_id, case_id != '') AS case_id, -- String: business case of the run
    any(service) AS service, -- LowCardinality(String): service that ran it
    argMin(name, (parent_span_id != '', time)) AS name, -- String: name of the outermost span
    min(e.time) AS start, -- DateTime64(9, 'UTC'): first start
    max(e.time_end) AS end, -- DateTime64(9, 'UTC'): last end
    toFloat64(toUnixTimestamp64Nano(max(e.time_end)) - toUnixTimestamp64Nano(min(e.time))) / 1e6 AS duration_ms, -- Float64: from first start to last end, people's time included
    count() AS events, -- UInt64: events of every type
    countIf(event_type = 'model_call') AS model_calls, -- UInt64: calls of a model
    countIf(event_type = 'tool_call') AS tool_calls, -- UInt64: calls of a tool
    countIf(event_type = 'retrieval') AS retrievals, -- UInt64: look-ups
    countIf(event_type = 'human_review') AS reviews, -- UInt64: human reviews
    countIf(e.outcome = 'error') AS errors, -- UInt64: events that ended in an error
    sumIf(e.input_tokens, event_type IN ('model_call', 'embedding')) AS input_tokens, -- Nullable(UInt64): tokens in
    sumIf(e.output_tokens, event_type IN ('model_call', 'embedding')) AS output_tokens, -- Nullable(UInt64): tokens out
    sumIf(e.cost_usd, event_type IN ('model_call', 'embedding')) AS cost_usd, -- Nullable(Decimal(38, 9)): known cost in US dollars
    countIf(event_type IN ('model_call', 'embedding') AND e.cost_usd IS NULL) AS calls_without_cost, -- UInt64: calls whose price is unknown; cost_usd leaves them out
    arraySort(groupUniqArrayIf(model, model != '')) AS models, -- Array(String): models that answered
    multiIf(
        countIf(e.outcome = 'incomplete') > 0, 'incomplete',
        anyIf(e.outcome, parent_span_id = '' AND e.outcome NOT IN ('', 'success')) != '', anyIf(e.outcome, parent_span_id = '' AND e.outcome NOT IN ('', 'success')),
        anyIf(e.outcome, parent_span_id = '') != '', 'success',
        countIf(e.outcome = 'error') > 0, 'error',
        'success') AS outcome -- LowCardinality(String): incomplete if anything was cut off, else how the outermost spans ended
FROM {database}.events AS e
WHERE trace_id != ''
GROUP BY tenant, trace_id
