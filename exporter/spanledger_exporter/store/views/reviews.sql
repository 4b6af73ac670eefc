-- Human reviews: who, in which role, what they did to which event, the draft, the final text and the difference.
SELECT
    r.tenant AS tenant, -- LowCardinality(String): whose review it is
    r.time AS time, -- DateTime64(9, 'UTC'): when
    r.case_id AS case_id, -- String: business case
    r.event_id AS event_id, -- String: id of the review
    r.parent_event_id AS subject_event_id, -- String: event that was reviewed
    if(r.reviewer_id != '', r.reviewer_id, r.actor_id) AS reviewer, -- String: who reviewed
    if(JSONExtractString(r.env, 'review', 'reviewer', 'role') != '', JSONExtractString(r.env, 'review', 'reviewer', 'role'), toString(r.actor_role)) AS reviewer_role, -- String: in which role
    JSONExtractString(r.env, 'review', 'author', 'id') AS author, -- String: who wrote the draft
    JSONExtractString(r.env, 'review', 'action') AS action, -- String: approve, edit, reject or escalate
    CAST(JSONExtractBool(r.env, 'review', 'is_self_review'), 'Bool') AS is_self_review, -- Bool: the author approved the own draft: four eyes were not at work
    if(JSONHas(r.env, 'review', 'seconds_spent'), toFloat64OrNull(trim(BOTH '"' FROM JSONExtractRaw(r.env, 'review', 'seconds_spent'))), NULL) AS seconds_spent, -- Nullable(Float64): time spent
    JSONExtractUInt(r.env, 'review', 'changes', 'inserted') AS characters_inserted, -- UInt64: characters put in between draft and final
    JSONExtractUInt(r.env, 'review', 'changes', 'deleted') AS characters_deleted, -- UInt64: characters taken out
    t.texts['draft'] AS draft, -- String: the draft, where it is stored plain
    t.texts['final'] AS final, -- String: what the reviewer let pass
    t.texts['diff'] AS diff, -- String: the difference, line by line
    if(startsWith(t.texts['reasoning'], '{'), JSONExtractString(t.texts['reasoning'], 'content'), t.texts['reasoning']) AS reasoning, -- String: why
    JSONExtract(r.env, 'review', 'seen', 'event_ids', 'Array(String)') AS seen_event_ids, -- Array(String): events that the reviewer saw
    JSONExtract(r.env, 'review', 'seen', 'hashes', 'Array(String)') AS seen_hashes, -- Array(String): digests of what the reviewer saw
    r.chain AS chain, -- String: chain, lower-case hex
    r.seq AS seq, -- UInt64: place in the chain
    r.row_hash AS row_hash -- String: hash of the row, lower-case hex
FROM {database}.events AS r
LEFT JOIN ({review_texts}) AS t ON t.row_hash = r.row_hash
WHERE r.event_type = 'human_review'
