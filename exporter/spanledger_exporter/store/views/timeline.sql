-- What happened, in order, in words, with each row's state: filter by case_id or trace_id.
SELECT
    e.tenant AS tenant, -- LowCardinality(String): whose event it is
    e.case_id AS case_id, -- String: business case
    e.trace_id AS trace_id, -- String: OpenTelemetry trace
    e.time AS time, -- DateTime64(9, 'UTC'): start
    e.time_end AS time_end, -- DateTime64(9, 'UTC'): end
    e.latency_ms AS duration_ms, -- Nullable(Float64): duration in milliseconds
    e.event_type AS event_type, -- LowCardinality(String): kind of event
    e.name AS name, -- LowCardinality(String): span name
    concat(
        multiIf(e.actor_id != '', e.actor_id, e.agent_name != '', toString(e.agent_name), toString(e.service)),
        multiIf(
            e.event_type = 'model_call', concat(' asked ', if(e.model != '', toString(e.model), toString(e.model_requested))),
            e.event_type = 'tool_call', concat(' used ', toString(e.tool_name)),
            e.event_type = 'retrieval', concat(' looked up ', if(e.retrieval_index != '', toString(e.retrieval_index), toString(e.name))),
            e.event_type = 'human_review', concat(' reviewed: ', JSONExtractString(e.env, 'review', 'action')),
            e.event_type = 'decision', concat(' decided: ', JSONExtractString(e.env, 'decision', 'result')),
            e.event_type = 'external_action', concat(' did ', JSONExtractString(e.env, 'action', 'name')),
            concat(': ', toString(e.name))),
        if(e.outcome IN ('', 'success'), '', concat(' (', toString(e.outcome), ')'))) AS what, -- String: the event in a sentence
    e.outcome AS outcome, -- LowCardinality(String): how it ended
    e.model AS model, -- LowCardinality(String): model that answered
    e.prompt_name AS prompt_name, -- LowCardinality(String): prompt in force
    e.prompt_version AS prompt_version, -- LowCardinality(String): its version
    e.input_tokens AS input_tokens, -- Nullable(UInt64): tokens in
    e.output_tokens AS output_tokens, -- Nullable(UInt64): tokens out
    e.cost_usd AS cost_usd, -- Nullable(Decimal(18, 9)): cost in US dollars, NULL when unknown
    e.event_id AS event_id, -- String: stable id
    e.parent_event_id AS parent_event_id, -- String: event that this one is about
    e.span_id AS span_id, -- String: OpenTelemetry span
    e.parent_span_id AS parent_span_id, -- String: span that this one ran inside
    multiIf(e.seq < s.anchored, 'anchored', e.seq < s.sealed, 'sealed', 'stored') AS state, -- String: stored, sealed or anchored, as the store says; `spanledger verify` proves it
    e.chain AS chain, -- String: chain, lower-case hex
    e.seq AS seq, -- UInt64: place in the chain
    e.row_hash AS row_hash -- String: hash of the row, lower-case hex
FROM {database}.events AS e
LEFT JOIN ({sealed}) AS s ON s.chain = e.chain
ORDER BY time, seq
