-- What waits for a person: escalations, decisions that took the default branch or were unsure, and reviews that were
-- handed on, until a review names them, whenever it says that it began, or one in their case begins later. An unsure
-- decision has a confidence below 0.5.
SELECT
    e.tenant AS tenant, -- LowCardinality(String): whose it is
    e.time AS time, -- DateTime64(9, 'UTC'): since when it waits
    e.case_id AS case_id, -- String: business case
    e.event_id AS event_id, -- String: what waits
    e.event_type AS event_type, -- LowCardinality(String): kind of event
    e.name AS name, -- LowCardinality(String): what happened in a word or two
    {queue_why} AS why, -- String: why it waits
    e.escalation_due AS due, -- String: until when, ISO 8601, where somebody said so
    toString(e.escalation_severity) AS severity, -- String: how urgent, where somebody said so
    e.trace_id AS trace_id -- String: OpenTelemetry trace
FROM
(
    SELECT tenant, time, case_id, event_id, event_type, name, outcome, trace_id, decision_is_default,
        escalation_to, escalation_due, escalation_severity
    FROM {database}.rows
    WHERE event_type IN ('escalation', 'decision', 'human_review') AND {queue_candidate} AND {counted}
    LIMIT 1 BY chain_id, seq, row_hash
) AS e
LEFT JOIN
(
    SELECT tenant, case_id, max(time) AS reviewed FROM {database}.rows
    WHERE event_type = 'human_review' AND case_id != '' GROUP BY tenant, case_id
) AS of_case ON of_case.tenant = e.tenant AND of_case.case_id = e.case_id
WHERE of_case.reviewed <= e.time AND (e.tenant, e.event_id) GLOBAL NOT IN (
    SELECT tenant, parent_event_id FROM {database}.rows WHERE event_type = 'human_review' AND parent_event_id != ''
)
