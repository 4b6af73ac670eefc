-- One row per event: an intent is folded into its completion, a begin without an end is `incomplete`, and a row that
-- was delivered twice (same chain, seq and row_hash) counts once. So does a span that its own process recorded and that
-- came over OTLP too: the row of the process counts, the other one stays in `rows`.
SELECT
    tenant, -- LowCardinality(String): isolation: whose event it is
    if(endsWith(r.event_id, ':begin'), substring(r.event_id, 1, length(r.event_id) - 6), r.event_id) AS event_id, -- String: stable id; trace_id:span_id for a span, without the `:begin` of an intent
    event_type, -- LowCardinality(String): model_call, tool_call, retrieval, decision, human_review, …
    time, -- DateTime64(9, 'UTC'): when the event started
    time_end, -- DateTime64(9, 'UTC'): when it ended; the row's own time where it never did
    name, -- LowCardinality(String): span name, or what happened in a word or two
    operation, -- LowCardinality(String): gen_ai.operation.name
    if(endsWith(r.event_id, ':begin'), 'incomplete', r.outcome) AS outcome, -- LowCardinality(String): success, error, escalated, cancelled, incomplete (a begin without an end); empty for housekeeping
    error_type, -- LowCardinality(String): class of the error, empty without one
    trace_id, -- String: OpenTelemetry trace, lower-case hex
    span_id, -- String: OpenTelemetry span, lower-case hex
    parent_span_id, -- String: span that this one ran inside
    parent_event_id, -- String: event that this one is about: a review's subject, an outcome's intent
    case_id, -- String: business case
    session_id, -- String: session
    user_id, -- String: tokenised person served
    trigger, -- LowCardinality(String): what set the run off
    service, -- LowCardinality(String): service.name
    service_version, -- LowCardinality(String): service.version
    environment, -- LowCardinality(String): deployment environment
    actor_type, -- LowCardinality(String): agent, user, system or service
    actor_id, -- String: who acted
    actor_role, -- LowCardinality(String): in which role
    run_id, -- String: run of the actor
    agent_name, -- LowCardinality(String): gen_ai.agent.name
    provider, -- LowCardinality(String): gen_ai.provider.name
    model, -- LowCardinality(String): model that answered
    model_requested, -- LowCardinality(String): model or alias that was asked for
    prompt_name, -- LowCardinality(String): prompt in force
    prompt_version, -- LowCardinality(String): its version
    prompt_hash, -- LowCardinality(String): digest of system instructions and template-stable parts
    policy_name, -- LowCardinality(String): policy in force
    policy_version, -- LowCardinality(String): its version
    retrieval_index, -- LowCardinality(String): retrieval index in force
    retrieval_version, -- LowCardinality(String): its version
    workflow_id, -- LowCardinality(String): workflow
    workflow_version, -- LowCardinality(String): its version
    code_function, -- LowCardinality(String): function of the application that made the call
    tool_name, -- LowCardinality(String): gen_ai.tool.name
    if(r.input_tokens > 0, r.input_tokens, NULL) AS input_tokens, -- Nullable(UInt64): tokens in, cached ones included; NULL when nobody reported them
    if(r.output_tokens > 0 OR (r.usage_known AND r.outcome = 'success' AND r.event_type != 'embedding'), r.output_tokens, NULL) AS output_tokens, -- Nullable(UInt64): tokens out; NULL when nobody reported them
    nullIf(r.cache_read_tokens, 0) AS cache_read_tokens, -- Nullable(UInt64): part of input_tokens read from the provider's cache; NULL for none and for not reported
    nullIf(r.cache_write_tokens, 0) AS cache_write_tokens, -- Nullable(UInt64): part of input_tokens written to the provider's cache; NULL for none and for not reported
    nullIf(r.reasoning_tokens, 0) AS reasoning_tokens, -- Nullable(UInt64): part of output_tokens spent on reasoning; NULL for none and for not reported
    if(cost_known, r.cost_usd, NULL) AS cost_usd, -- Nullable(Decimal(18, 9)): cost in US dollars; NULL when the price is unknown, never 0 by default
    nullIf(r.latency_ms, 0) AS latency_ms, -- Nullable(Float64): duration in milliseconds; NULL where nothing was measured
    nullIf(r.ttft_ms, 0) AS ttft_ms, -- Nullable(Float64): milliseconds to the first chunk of a stream; NULL where nothing was measured
    if(r.confidence != 0 OR toFloat64OrNull(trim(BOTH '"' FROM JSONExtractRaw(env, 'confidence'))) IS NOT NULL, r.confidence, NULL) AS confidence, -- Nullable(Float64): confidence from 0 to 1, where the application said it
    decision_is_default, -- UInt8: 1 for a decision that took the default branch
    if(r.decision_confidence_known, r.decision_confidence, NULL) AS decision_confidence, -- Nullable(Float64): how sure a decision was, from 0 to 1; NULL when nobody said
    reviewer_id, -- String: who reviewed, where the review names somebody
    escalation_to, -- LowCardinality(String): to whom an escalation went
    escalation_due, -- String: until when, ISO 8601, where somebody said so
    escalation_severity, -- LowCardinality(String): how urgent, where somebody said so
    attempt, -- UInt64: number of the attempt, from 1; 0 when unknown
    idempotency_key, -- String: key under which repeating the act has no further effect
    capture_tier, -- LowCardinality(String): captured in the process itself, or ingested over the wire
    capture_scope, -- LowCardinality(String): instrumentation scope that saw it
    lower(hex(chain_id)) AS chain, -- String: chain of the row, lower-case hex
    seq, -- UInt64: place in the chain
    lower(hex(r.row_hash)) AS row_hash, -- String: hash of the row, lower-case hex
    time_ns, -- UInt64: when the row was written, Unix nanoseconds
    stored_at, -- DateTime64(6, 'UTC'): when the store took the row; outside the hash
    env -- String: the envelope, byte for byte as hashed
FROM
(
    SELECT {columns} FROM {database}.rows WHERE (chain_id, seq) GLOBAL NOT IN ({repeated})
    UNION ALL
    SELECT {columns} FROM {database}.rows WHERE (chain_id, seq) GLOBAL IN ({repeated}) LIMIT 1 BY chain_id, seq, row_hash
) AS r
WHERE (
        NOT endsWith(r.event_id, ':begin')
        OR substring(r.event_id, 1, length(r.event_id) - 6) GLOBAL NOT IN (
            SELECT event_id FROM {database}.rows
            WHERE span_id != '' AND NOT endsWith(event_id, ':begin')
        )
    )
    AND {counted}
