-- The spans under the column names of the OpenTelemetry collector's ClickHouse exporter, for stock dashboards.
SELECT
    time AS `Timestamp`, -- DateTime64(9): span start
    trace_id AS `TraceId`, -- String: trace, lower-case hex
    span_id AS `SpanId`, -- String: span, lower-case hex
    parent_span_id AS `ParentSpanId`, -- String: parent span
    '' AS `TraceState`, -- String: W3C trace state; not kept
    name AS `SpanName`, -- LowCardinality(String): span name
    multiIf(event_type IN ('model_call', 'embedding', 'retrieval', 'memory'), 'Client', 'Internal') AS `SpanKind`, -- LowCardinality(String): kind, as the semantic conventions give it for the event type
    service AS `ServiceName`, -- LowCardinality(String): service.name
    CAST(map('service.name', toString(service), 'service.version', toString(service_version), 'deployment.environment.name', toString(environment)), 'Map(LowCardinality(String), String)') AS `ResourceAttributes`, -- Map(LowCardinality(String), String): resource
    capture_scope AS `ScopeName`, -- String: instrumentation scope
    JSONExtractString(env, 'capture', 'version') AS `ScopeVersion`, -- String: its version
    CAST(mapFilter((k, v) -> v != '', mapUpdate(
        CAST(JSONExtract(env, 'attributes', 'Map(String, String)'), 'Map(String, String)'),
        map('gen_ai.operation.name', toString(operation), 'gen_ai.provider.name', toString(provider), 'gen_ai.request.model', toString(model_requested),
            'gen_ai.response.model', toString(model), 'gen_ai.usage.input_tokens', ifNull(toString(input_tokens), ''),
            'gen_ai.usage.output_tokens', ifNull(toString(output_tokens), ''), 'gen_ai.tool.name', toString(tool_name),
            'gen_ai.prompt.name', toString(prompt_name), 'gen_ai.prompt.version', toString(prompt_version),
            'error.type', toString(error_type), 'spanledger.event.type', toString(event_type), 'spanledger.case.id', case_id,
            'spanledger.cost.usd', ifNull(toString(cost_usd), ''), 'spanledger.event.outcome', toString(outcome)))), 'Map(LowCardinality(String), String)') AS `SpanAttributes`, -- Map(LowCardinality(String), String): semantic-convention attributes; content stays in the ledger
    toUInt64(greatest(toUnixTimestamp64Nano(time_end) - toUnixTimestamp64Nano(time), 0)) AS `Duration`, -- UInt64: nanoseconds
    multiIf(outcome = 'error', 'Error', 'Unset') AS `StatusCode`, -- LowCardinality(String): Unset or Error
    error_type AS `StatusMessage`, -- String: class of the error; its message is content
    CAST([], 'Array(DateTime64(9))') AS `Events.Timestamp`, -- Array(DateTime64(9)): span events; kept as content of the row
    CAST([], 'Array(LowCardinality(String))') AS `Events.Name`, -- Array(LowCardinality(String)): span events; kept as content of the row
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Events.Attributes`, -- Array(Map(LowCardinality(String), String)): span events; kept as content of the row
    CAST([], 'Array(String)') AS `Links.TraceId`, -- Array(String): span links; kept as content of the row
    CAST([], 'Array(String)') AS `Links.SpanId`, -- Array(String): span links; kept as content of the row
    CAST([], 'Array(String)') AS `Links.TraceState`, -- Array(String): span links; kept as content of the row
    CAST([], 'Array(Map(LowCardinality(String), String))') AS `Links.Attributes` -- Array(Map(LowCardinality(String), String)): span links; kept as content of the row
FROM {database}.events
WHERE trace_id != '' AND span_id != ''
