-- Prompts in use: one row per name, version and digest.
SELECT
    tenant, -- LowCardinality(String): whose prompt it is
    prompt_name, -- LowCardinality(String): name, empty when nobody said and no registered prompt matched
    prompt_version, -- LowCardinality(String): version
    prompt_hash, -- LowCardinality(String): digest of system instructions and template-stable parts
    min(e.time) AS first_used, -- DateTime64(9, 'UTC'): first call
    max(e.time) AS last_used, -- DateTime64(9, 'UTC'): last call
    count() AS calls, -- UInt64: calls with it
    countIf(outcome = 'error') AS errors, -- UInt64: of these, errors
    uniqExactIf(case_id, case_id != '') AS cases, -- UInt64: business cases touched
    arraySort(groupUniqArrayIf(model, model != '')) AS models, -- Array(String): models that answered
    sum(e.cost_usd) AS cost_usd -- Nullable(Decimal(38, 9)): known cost in US dollars
FROM {database}.events AS e
WHERE event_type = 'model_call'
GROUP BY tenant, prompt_name, prompt_version, prompt_hash
