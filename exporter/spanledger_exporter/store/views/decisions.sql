-- Decisions: which condition was evaluated, what came out, which branches were not taken, how sure, under which policy.
SELECT
    d.tenant AS tenant, -- LowCardinality(String): whose decision it is
    d.time AS time, -- DateTime64(9, 'UTC'): when
    d.case_id AS case_id, -- String: business case
    d.event_id AS event_id, -- String: id of the decision
    d.parent_event_id AS subject_event_id, -- String: event that the decision is about
    d.trace_id AS trace_id, -- String: OpenTelemetry trace
    d.actor_id AS actor, -- String: who decided
    if(JSONExtractString(d.env, 'decision', 'name') != '', JSONExtractString(d.env, 'decision', 'name'), toString(d.name)) AS decision, -- String: which decision
    JSONExtractString(d.env, 'decision', 'condition') AS condition, -- String: rule or condition that was evaluated
    if(JSONType(d.env, 'decision', 'result') = 'String', JSONExtractString(d.env, 'decision', 'result'), JSONExtractRaw(d.env, 'decision', 'result')) AS result, -- String: what came out
    CAST(d.decision_is_default, 'Bool') AS is_default, -- Bool: no rule applied and the default branch was taken
    JSONExtract(d.env, 'decision', 'branches_skipped', 'Array(String)') AS branches_skipped, -- Array(String): what was not taken
    coalesce(d.decision_confidence, d.confidence) AS confidence, -- Nullable(Float64): from 0 to 1, NULL when nobody said
    t.texts['rationale'] AS rationale, -- String: why, where it is stored plain
    if(JSONExtractString(d.env, 'decision', 'policy', 'name') != '', JSONExtractString(d.env, 'decision', 'policy', 'name'), toString(d.policy_name)) AS policy_name, -- String: policy applied
    if(JSONExtractString(d.env, 'decision', 'policy', 'version') != '', JSONExtractString(d.env, 'decision', 'policy', 'version'), toString(d.policy_version)) AS policy_version, -- String: its version
    d.chain AS chain, -- String: chain, lower-case hex
    d.seq AS seq, -- UInt64: place in the chain
    d.row_hash AS row_hash -- String: hash of the row, lower-case hex
FROM {database}.events AS d
LEFT JOIN ({decision_texts}) AS t ON t.row_hash = d.row_hash
WHERE d.event_type = 'decision'
