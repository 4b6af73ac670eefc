"""The dashboards: what operators and compliance people watch, each panel one question and its SQL."""

from __future__ import annotations

from collections.abc import Sequence

from grafana.alerts import OVERDUE
from grafana.panels import Dashboard, Panel, text_variable

# A case may be called anything, and two tenants may have one of the same name: a table that links cases has a `tenant`.
CASE = "${console}/case/${__value.raw:percentencode}?tenant=${__data.fields.tenant:percentencode}"
TRACE = "${console}/trace/${__value.raw:percentencode}"
EVENT = "${console}/event?id=${__value.raw:percentencode}"

TENANT = "$__conditionalAll(tenant IN (${tenant:singlequote}), $tenant)"
SERVICE = "$__conditionalAll(service IN (${service:singlequote}), $service)"
BY_TENANT = f"$__timeFilter(time) AND {TENANT}"
IN_VIEW = f"{BY_TENANT} AND {SERVICE}"
ANSWERED_OR_ASKED = "if(model = '', model_requested, model)"
"""A call that failed has no model that answered."""


def _count(title: str, description: str, sql: str, **options: object) -> Panel:
    return Panel("stat", title, description, sql, width=4, height=4, **options)  # type: ignore[arg-type]


ACTIVITY = Dashboard(
    "spanledger-activity",
    "Activity",
    "What the AI did: how much, for which cases, and whether anything was cut off.",
    [
        _count(
            "Model calls",
            "Calls of a model in the time range.",
            f"SELECT count() AS calls FROM spanledger.events WHERE event_type = 'model_call' AND {IN_VIEW}",
        ),
        _count(
            "Tool calls",
            "Calls of a tool in the time range.",
            f"SELECT count() AS calls FROM spanledger.events WHERE event_type = 'tool_call' AND {IN_VIEW}",
        ),
        _count(
            "Cases",
            "Business cases touched.",
            f"SELECT uniqExactIf((tenant, case_id), case_id != '') AS cases FROM spanledger.events WHERE {IN_VIEW}",
        ),
        _count(
            "Runs",
            "Traces with at least one audited event.",
            f"SELECT uniqExactIf(trace_id, trace_id != '') AS runs FROM spanledger.events WHERE {IN_VIEW}",
        ),
        _count(
            "Without a case",
            "Share of model calls that no business case claims: they are hard to find later. "
            "Set the case with `spanledger.case(…)` or baggage.",
            f"SELECT countIf(case_id = '') / nullIf(count(), 0) AS share FROM spanledger.events "
            f"WHERE event_type = 'model_call' AND {IN_VIEW}",
            unit="percentunit",
            warn_above=0.2,
        ),
        _count(
            "Cut off",
            "Events that began and never ended: a crash, a kill, or a call still running.",
            f"SELECT countIf(outcome = 'incomplete') AS cut_off FROM spanledger.events WHERE {IN_VIEW}",
            warn_above=1,
        ),
        Panel(
            "timeseries",
            "Events by type",
            "Rows per interval by event type. A type that stops while others go on is worth a look.",
            f"""
            SELECT $__timeInterval(time) AS time, event_type, count() AS events
            FROM spanledger.events
            WHERE event_type IN ('model_call', 'embedding', 'tool_call', 'retrieval', 'agent_run', 'workflow_run',
                'decision', 'external_action', 'human_review', 'escalation') AND {IN_VIEW}
            GROUP BY time, event_type
            ORDER BY time
            """,
        ),
        Panel(
            "timeseries",
            "Events by service",
            "Rows per interval by service: which application is busy, which one fell silent.",
            f"""
            SELECT $__timeInterval(time) AS time, service, count() AS events
            FROM spanledger.events
            WHERE trace_id != '' AND {IN_VIEW}
            GROUP BY time, service
            ORDER BY time
            """,
        ),
        Panel(
            "table",
            "Latest runs",
            "The newest traces. The trace opens as a timeline in the console.",
            f"""
            SELECT start, trace_id, tenant, case_id, service, name, duration_ms, model_calls, tool_calls, cost_usd,
                outcome
            FROM spanledger.runs
            WHERE $__timeFilter(start) AND {TENANT} AND {SERVICE}
            ORDER BY start DESC
            LIMIT 100
            """,
            width=24,
            height=10,
            links={"trace_id": TRACE, "case_id": CASE},
            units={"duration_ms": "ms", "cost_usd": "currencyUSD"},
        ),
        Panel(
            "table",
            "Busiest cases",
            "Cases by number of events, with what they cost.",
            f"""
            SELECT tenant, case_id, count() AS events, countIf(event_type = 'model_call') AS model_calls,
                countIf(event_type = 'human_review') AS reviews,
                sumIf(events.cost_usd, event_type IN ('model_call', 'embedding')) AS cost_usd, max(time) AS last_event
            FROM spanledger.events
            WHERE case_id != '' AND {IN_VIEW}
            GROUP BY tenant, case_id
            ORDER BY events DESC
            LIMIT 50
            """,
            width=24,
            links={"case_id": CASE},
            units={"cost_usd": "currencyUSD"},
        ),
    ],
)

COST = Dashboard(
    "spanledger-cost",
    "Cost and tokens",
    "What the calls cost, what of it is known, and how well the providers' caches are used.",
    [
        _count(
            "Known cost",
            "Sum of the calls whose price is known. Calls without a price are beside it, never counted as zero.",
            f"SELECT sum(cost_usd) AS cost FROM spanledger.costs WHERE {IN_VIEW}",
            unit="currencyUSD",
        ),
        _count(
            "Calls without a price",
            "Calls whose model is in no price list, or whose usage nobody reported.",
            f"SELECT countIf(cost_usd IS NULL) AS calls FROM spanledger.costs WHERE {IN_VIEW}",
            warn_above=1,
        ),
        _count(
            "Cost per case",
            "Known cost divided by the cases that caused it; cases of unknown cost are left out.",
            f"SELECT sum(cost_usd) / nullIf(uniqExact(tenant, case_id), 0) AS cost "
            f"FROM spanledger.costs WHERE case_id != '' AND cost_usd IS NOT NULL AND {IN_VIEW}",
            unit="currencyUSD",
        ),
        _count(
            "Input tokens",
            "Tokens in, cached ones included.",
            f"SELECT sum(input_tokens) AS tokens FROM spanledger.costs WHERE {IN_VIEW}",
        ),
        _count(
            "Output tokens",
            "Tokens out, reasoning included.",
            f"SELECT sum(output_tokens) AS tokens FROM spanledger.costs WHERE {IN_VIEW}",
        ),
        _count(
            "Cache efficiency",
            "Share of input tokens that came from the provider's cache.",
            f"SELECT sum(cache_read_tokens) / nullIf(sum(input_tokens), 0) AS share "
            f"FROM spanledger.costs WHERE {IN_VIEW}",
            unit="percentunit",
        ),
        Panel(
            "timeseries",
            "Cost by model",
            "Known cost per interval. A step is a new model, a new prompt, or more traffic: see Models and prompts.",
            f"""
            SELECT $__timeInterval(time) AS time, model, sum(cost_usd) AS cost
            FROM spanledger.costs
            WHERE cost_usd IS NOT NULL AND {IN_VIEW}
            GROUP BY time, model
            ORDER BY time
            """,
            unit="currencyUSD",
        ),
        Panel(
            "timeseries",
            "Tokens",
            "Tokens per interval by kind. Cached tokens are part of the input, reasoning is part of the output.",
            f"""
            SELECT $__timeInterval(time) AS time, sum(input_tokens) AS input, sum(output_tokens) AS output,
                sum(cache_read_tokens) AS cache_read, sum(cache_write_tokens) AS cache_write,
                sum(reasoning_tokens) AS reasoning
            FROM spanledger.costs
            WHERE {IN_VIEW}
            GROUP BY time
            ORDER BY time
            """,
        ),
        Panel(
            "timeseries",
            "Cache efficiency by model",
            "Share of input tokens read from cache per interval. A drop after a prompt change is money lost.",
            f"""
            SELECT $__timeInterval(time) AS time, {ANSWERED_OR_ASKED} AS answered,
                sum(cache_read_tokens) / nullIf(sum(input_tokens), 0) AS share
            FROM spanledger.costs
            WHERE {IN_VIEW}
            GROUP BY time, answered
            ORDER BY time
            """,
            unit="percentunit",
        ),
        Panel(
            "barchart",
            "Cost by prompt version",
            "Known cost by registered prompt and version; unregistered prompts are one bar.",
            f"""
            SELECT if(prompt_name = '', 'unregistered', concat(prompt_name, ' ', prompt_version)) AS prompt,
                sum(cost_usd) AS cost
            FROM spanledger.costs
            WHERE {IN_VIEW}
            GROUP BY prompt
            ORDER BY cost DESC
            LIMIT 20
            """,
            unit="currencyUSD",
        ),
        Panel(
            "table",
            "Most expensive cases",
            "Known cost by business case; the case opens in the console.",
            f"""
            SELECT tenant, case_id, sum(cost_usd) AS cost, count() AS calls, countIf(cost_usd IS NULL) AS without_price,
                sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
            FROM spanledger.costs
            WHERE case_id != '' AND {IN_VIEW}
            GROUP BY tenant, case_id
            ORDER BY cost DESC
            LIMIT 50
            """,
            width=24,
            links={"case_id": CASE},
            units={"cost": "currencyUSD"},
        ),
        Panel(
            "table",
            "Where counts come from",
            "Calls by who counted the tokens: reported by the provider, estimated, or unknown; and by price list.",
            f"""
            SELECT multiIf(usage_source != '', usage_source, input_tokens IS NULL AND output_tokens IS NULL, 'unknown',
                'reported') AS tokens, price_source, price_version,
                count() AS calls, sum(cost_usd) AS cost
            FROM spanledger.costs
            WHERE {IN_VIEW}
            GROUP BY tokens, price_source, price_version
            ORDER BY calls DESC
            """,
            width=24,
            units={"cost": "currencyUSD"},
        ),
    ],
)

LATENCY = Dashboard(
    "spanledger-latency",
    "Latency and errors",
    "How long calls take, how long until the first token, and what goes wrong.",
    [
        Panel(
            "timeseries",
            "Duration of model calls",
            "Percentiles of the whole logical call, all retries included.",
            f"""
            SELECT $__timeInterval(time) AS time, quantile(0.5)(latency_ms) AS p50, quantile(0.95)(latency_ms) AS p95,
                quantile(0.99)(latency_ms) AS p99
            FROM spanledger.events
            WHERE event_type = 'model_call' AND latency_ms IS NOT NULL AND {IN_VIEW}
            GROUP BY time
            ORDER BY time
            """,
            unit="ms",
        ),
        Panel(
            "timeseries",
            "Time to first chunk",
            "95th percentile over streamed calls by model.",
            f"""
            SELECT $__timeInterval(time) AS time, model, quantile(0.95)(ttft_ms) AS p95
            FROM spanledger.events
            WHERE ttft_ms IS NOT NULL AND {IN_VIEW}
            GROUP BY time, model
            ORDER BY time
            """,
            unit="ms",
        ),
        Panel(
            "timeseries",
            "Outcomes",
            "Events per interval by how they ended.",
            f"""
            SELECT $__timeInterval(time) AS time, outcome, count() AS events
            FROM spanledger.events
            WHERE outcome != '' AND {IN_VIEW}
            GROUP BY time, outcome
            ORDER BY time
            """,
        ),
        Panel(
            "barchart",
            "Errors by class",
            "What failed, by the error's class.",
            f"""
            SELECT if(error_type = '', outcome, error_type) AS error, count() AS events
            FROM spanledger.errors
            WHERE {IN_VIEW}
            GROUP BY error
            ORDER BY events DESC
            LIMIT 20
            """,
        ),
        Panel(
            "table",
            "Slowest steps",
            "The steps that took longest, people's time included.",
            f"""
            SELECT time, event_type, name, latency_ms, outcome, model, tool_name, tenant, case_id, trace_id
            FROM spanledger.events
            WHERE latency_ms IS NOT NULL AND {IN_VIEW}
            ORDER BY latency_ms DESC
            LIMIT 50
            """,
            width=24,
            links={"trace_id": TRACE, "case_id": CASE},
            units={"latency_ms": "ms"},
        ),
        Panel(
            "table",
            "Latest errors",
            "Errors, cancelled calls, and calls that began and never ended.",
            f"""
            SELECT time, outcome, error_type, event_type, name, model, tool_name, tenant, case_id, trace_id
            FROM spanledger.errors
            WHERE {IN_VIEW}
            ORDER BY time DESC
            LIMIT 100
            """,
            width=24,
            links={"trace_id": TRACE, "case_id": CASE},
        ),
    ],
)

TOOLS = Dashboard(
    "spanledger-tools",
    "Tools and retrievals",
    "Which tools and indexes were used, in which version, and how reliably.",
    [
        Panel(
            "timeseries",
            "Tool calls",
            "Calls per interval by tool.",
            f"""
            SELECT $__timeInterval(time) AS time, tool_name, count() AS calls
            FROM spanledger.events
            WHERE event_type = 'tool_call' AND {IN_VIEW}
            GROUP BY time, tool_name
            ORDER BY time
            """,
        ),
        Panel(
            "barchart",
            "Failing tools",
            "Share of calls that ended in an error, by tool.",
            f"""
            SELECT tool_name, countIf(outcome = 'error') / count() AS share
            FROM spanledger.events
            WHERE event_type = 'tool_call' AND {IN_VIEW}
            GROUP BY tool_name
            ORDER BY share DESC
            LIMIT 20
            """,
            unit="percentunit",
        ),
        Panel(
            "table",
            "Tools",
            "Every tool and version used in the time range, with all of its use. "
            "A new version of a definition is a change worth a note.",
            f"""
            SELECT tenant, tool_name, tool_version, first_used, last_used, calls, error_rate, latency_p50_ms,
                latency_p95_ms, frequent_errors
            FROM spanledger.tools
            WHERE $__timeFilter(last_used) AND {TENANT}
            ORDER BY calls DESC
            """,
            width=24,
            units={"error_rate": "percentunit", "latency_p50_ms": "ms", "latency_p95_ms": "ms"},
        ),
        Panel(
            "timeseries",
            "Look-ups",
            "Retrievals per interval by index.",
            f"""
            SELECT $__timeInterval(time) AS time, retrieval_index, count() AS lookups
            FROM spanledger.events
            WHERE event_type = 'retrieval' AND {IN_VIEW}
            GROUP BY time, retrieval_index
            ORDER BY time
            """,
        ),
        Panel(
            "table",
            "Retrieval indexes",
            "Every index and version used in the time range, and how often it found nothing.",
            f"""
            SELECT tenant, retrieval_index, retrieval_version, first_used, last_used, lookups, without_result, errors,
                cases, latency_p95_ms
            FROM spanledger.retrievals
            WHERE $__timeFilter(last_used) AND {TENANT}
            ORDER BY lookups DESC
            """,
            units={"latency_p95_ms": "ms"},
        ),
    ],
)

REVIEW = Dashboard(
    "spanledger-review",
    "Human review",
    "What waits for a person, what people changed, and whether four eyes were at work.",
    [
        _count(
            "Open",
            "What waits for a person now, since whenever: escalations, unsure decisions, default branches, "
            "drafts handed on.",
            f"SELECT count() AS open FROM spanledger.review_queue WHERE {TENANT}",
            warn_above=1,
        ),
        _count(
            "Overdue",
            "What waits beyond the time that somebody said, or for more than 24 hours where nobody did.",
            f"SELECT count() AS overdue FROM spanledger.review_queue WHERE {OVERDUE} AND {TENANT}",
            alarm_above=1,
        ),
        _count(
            "Override rate",
            "Share of reviews that edited or rejected the draft.",
            f"SELECT countIf(action IN ('edit', 'reject')) / nullIf(count(), 0) AS share "
            f"FROM spanledger.reviews WHERE {BY_TENANT}",
            unit="percentunit",
        ),
        _count(
            "Agreement",
            "Share of reviews that approved the draft as it was.",
            f"SELECT countIf(action = 'approve') / nullIf(count(), 0) AS share "
            f"FROM spanledger.reviews WHERE {BY_TENANT}",
            unit="percentunit",
        ),
        _count(
            "Self-reviews",
            "Approvals by the author of the draft: four eyes were not at work.",
            f"SELECT countIf(is_self_review AND action IN ('approve', 'edit')) AS reviews "
            f"FROM spanledger.reviews WHERE {BY_TENANT}",
            alarm_above=1,
        ),
        _count(
            "Median time spent",
            "Median seconds that a reviewer spent. Very short approvals deserve a sample.",
            f"SELECT quantile(0.5)(seconds_spent) AS seconds FROM spanledger.reviews "
            f"WHERE seconds_spent IS NOT NULL AND {BY_TENANT}",
            unit="s",
        ),
        Panel(
            "timeseries",
            "Reviews by action",
            "Reviews per interval: approve, edit, reject, escalate.",
            f"""
            SELECT $__timeInterval(time) AS time, action, count() AS reviews
            FROM spanledger.reviews
            WHERE {BY_TENANT}
            GROUP BY time, action
            ORDER BY time
            """,
        ),
        Panel(
            "table",
            "Reviewers",
            "Who reviews, how much, how long, and how often they change the draft.",
            f"""
            SELECT reviewer, reviewer_role, count() AS reviews,
                countIf(action IN ('edit', 'reject')) / count() AS overrides,
                quantile(0.5)(seconds_spent) AS median_seconds,
                countIf(is_self_review AND action IN ('approve', 'edit')) AS self_reviews
            FROM spanledger.reviews
            WHERE {BY_TENANT}
            GROUP BY reviewer, reviewer_role
            ORDER BY reviews DESC
            """,
            units={"overrides": "percentunit", "median_seconds": "s"},
        ),
        Panel(
            "table",
            "Edited drafts",
            "What people changed in what the AI wrote: the most valuable feedback there is.",
            f"""
            SELECT time, tenant, case_id, reviewer, action, characters_inserted, characters_deleted, reasoning, diff,
                subject_event_id
            FROM spanledger.reviews
            WHERE action IN ('edit', 'reject') AND {BY_TENANT}
            ORDER BY time DESC
            LIMIT 100
            """,
            width=24,
            height=10,
            links={"case_id": CASE, "subject_event_id": EVENT},
        ),
        Panel(
            "table",
            "Waiting",
            "The review queue, oldest first, whatever the time range.",
            f"""
            SELECT time, tenant, case_id, why, name, event_id, due, severity, dateDiff('hour', time, now64(9)) AS hours
            FROM spanledger.review_queue
            WHERE {TENANT}
            ORDER BY time
            LIMIT 100
            """,
            width=24,
            links={"case_id": CASE, "event_id": EVENT},
        ),
    ],
)

INTEGRITY = Dashboard(
    "spanledger-integrity",
    "Integrity",
    "Health of the evidence as the server sees it. It is a health check: `spanledger verify` is the evidence.",
    [
        _count(
            "Gaps and forks",
            "Places without a row, or with two histories, in any chain. Above zero: run `spanledger verify`.",
            f"SELECT sum(missing) + sum(equivocations) AS places FROM spanledger.integrity WHERE {TENANT}",
            alarm_above=1,
        ),
        _count(
            "Unsealed rows",
            "Rows that no checkpoint covers yet. Grows when the sealer stands still.",
            f"SELECT sum(unsealed_rows) AS unsealed FROM spanledger.integrity WHERE {TENANT}",
            warn_above=100_000,
        ),
        _count(
            "Last checkpoint",
            "Age of the newest signed checkpoint.",
            "SELECT if(count() = 0, NULL, dateDiff('second', max(created_at), now64(6))) AS age "
            "FROM spanledger.checkpoints",
            unit="s",
            warn_above=300,
            alarm_above=3600,
        ),
        _count(
            "Last anchor",
            "Age of the newest anchored checkpoint.",
            "SELECT if(count() = 0, NULL, dateDiff('second', max(created_at), now64(6))) AS age "
            "FROM spanledger.anchors",
            unit="s",
            warn_above=300,
            alarm_above=3600,
        ),
        _count(
            "Mutations",
            "ALTER … UPDATE or DELETE on ledger tables. There is no honest reason for one.",
            "SELECT count() AS mutations FROM system.mutations WHERE database = 'spanledger' "
            "AND table IN ('rows', 'content', 'log', 'checkpoints', 'anchors')",
            alarm_above=1,
        ),
        _count(
            "Lost events",
            "Events that could not be recorded and are accounted for by a `loss` row.",
            f"SELECT sum(lost_events) AS lost FROM spanledger.integrity WHERE {TENANT}",
            alarm_above=1,
        ),
        Panel(
            "table",
            "Verdicts",
            "What `spanledger monitor` said of the ledger, newest first, whatever the time range: a row at its start "
            "and at each change. Without a row no monitor runs.",
            """
            SELECT time, JSONExtractString(env, 'monitor', 'verdict') AS verdict,
                if(JSONExtractBool(env, 'monitor', 'rows_read'), 'every row', 'log, anchors, tables') AS was_read,
                JSONExtractUInt(env, 'monitor', 'findings_total') AS findings,
                JSONExtractString(env, 'monitor', 'findings', 1, 'reason') AS first_finding
            FROM spanledger.events
            WHERE event_type = 'heartbeat' AND name = 'monitor'
            ORDER BY time DESC
            LIMIT 20
            """,
            width=24,
            height=6,
        ),
        Panel(
            "timeseries",
            "Lag from spool to store",
            "95th percentile of the time between writing a row and the store's taking it.",
            f"""
            SELECT $__timeInterval(time) AS time,
                quantile(0.95)(dateDiff('millisecond', fromUnixTimestamp64Nano(toInt64(time_ns)), stored_at)) AS lag
            FROM spanledger.rows
            WHERE {IN_VIEW}
            GROUP BY time
            ORDER BY time
            """,
            unit="ms",
        ),
        Panel(
            "timeseries",
            "Clock skew",
            "Rows whose writer's clock had stepped back, or ran ahead of the store's.",
            f"""
            SELECT $__timeInterval(time) AS time, countIf(JSONExtractBool(env, 'clock_clamped')) AS stepped_back,
                countIf(fromUnixTimestamp64Nano(toInt64(time_ns)) > stored_at + INTERVAL 1 SECOND) AS ahead
            FROM spanledger.rows
            WHERE {IN_VIEW}
            GROUP BY time
            ORDER BY time
            """,
        ),
        Panel(
            "timeseries",
            "Checkpoints",
            "Size of the log at each checkpoint. It only ever grows.",
            """
            SELECT $__timeInterval(created_at) AS time, max(size) AS size
            FROM spanledger.checkpoints
            WHERE $__timeFilter(created_at)
            GROUP BY time
            ORDER BY time
            """,
        ),
        Panel(
            "timeseries",
            "Who looked",
            "Reading by a person, per interval and person: every search, timeline and export is itself a row.",
            f"""
            SELECT $__timeInterval(time) AS time, if(actor_id = '', 'unknown', actor_id) AS reader, count() AS accesses
            FROM spanledger.events
            WHERE event_type = 'access' AND {BY_TENANT}
            GROUP BY time, reader
            ORDER BY time
            """,
        ),
        Panel(
            "table",
            "Chains",
            "Every writer's chain in the time range, and every one with a gap or a fork: copies, how far it is sealed "
            "and anchored.",
            f"""
            SELECT chain, tenant, service, first_time, last_time, closed, stored_rows, missing, copies, equivocations,
                lost_events, sealed_rows, anchored_rows, unsealed_rows
            FROM spanledger.integrity
            WHERE ($__timeFilter(last_time) OR missing + equivocations > 0) AND {TENANT}
            ORDER BY missing + equivocations DESC, last_time DESC
            LIMIT 200
            """,
            width=24,
            height=10,
        ),
        Panel(
            "table",
            "Losses and alarms",
            "What was lost and why, as the writers and the shipper reported it.",
            f"""
            SELECT time, event_type, service, name, JSONExtractRaw(env, 'loss') AS detail, chain, seq
            FROM spanledger.events
            WHERE event_type IN ('loss', 'raw') AND {BY_TENANT}
            ORDER BY time DESC
            LIMIT 100
            """,
            width=24,
        ),
    ],
)

MODELS = Dashboard(
    "spanledger-models",
    "Models and prompts",
    "What the AI was: models, prompts and their versions over time.",
    [
        Panel(
            "timeseries",
            "Calls by model",
            "Model calls per interval by the model that answered, or was asked for when none did: "
            "when did which model take over?",
            f"""
            SELECT $__timeInterval(time) AS time, {ANSWERED_OR_ASKED} AS answered, count() AS calls
            FROM spanledger.events
            WHERE event_type = 'model_call' AND {IN_VIEW}
            GROUP BY time, answered
            ORDER BY time
            """,
        ),
        Panel(
            "timeseries",
            "Calls by prompt version",
            "Model calls per interval by prompt and version; an unregistered prompt shows by its digest.",
            f"""
            SELECT $__timeInterval(time) AS time, if(prompt_name = '', substring(prompt_hash, 1, 12),
                concat(prompt_name, ' ', prompt_version)) AS prompt, count() AS calls
            FROM spanledger.events
            WHERE event_type = 'model_call' AND {IN_VIEW}
            GROUP BY time, prompt
            ORDER BY time
            """,
        ),
        Panel(
            "table",
            "Models",
            "The inventory: every model used in the time range, the names it was asked for by, first and last use.",
            f"""
            SELECT tenant, provider, model, requested_as, first_used, last_used, calls, errors, incomplete, cost_usd,
                calls_without_cost, latency_p50_ms, latency_p95_ms
            FROM spanledger.models
            WHERE $__timeFilter(last_used) AND {TENANT}
            ORDER BY calls DESC
            """,
            width=24,
            units={"cost_usd": "currencyUSD", "latency_p50_ms": "ms", "latency_p95_ms": "ms"},
        ),
        Panel(
            "table",
            "Prompts",
            "Every prompt used in the time range, by name and version where it is registered, by digest where not.",
            f"""
            SELECT tenant, prompt_name, prompt_version, substring(prompt_hash, 1, 12) AS digest, first_used, last_used,
                calls, errors, cases, models, cost_usd
            FROM spanledger.prompts
            WHERE $__timeFilter(last_used) AND {TENANT}
            ORDER BY calls DESC
            """,
            width=24,
            units={"cost_usd": "currencyUSD"},
        ),
    ],
)

TRACE_VIEW = Dashboard(
    "spanledger-trace",
    "One trace",
    "The steps of one run as a waterfall, and the same steps as rows with their place in the chain.",
    [
        Panel(
            "traces",
            "Waterfall",
            "The spans of the trace that is named above.",
            """
            SELECT trace_id AS traceID, span_id AS spanID, parent_span_id AS parentSpanID, service AS serviceName,
                name AS operationName, toUnixTimestamp64Milli(time) AS startTime, coalesce(latency_ms, 0) AS duration,
                arrayFilter(tag -> tag['value'] != '', [
                    map('key', 'event_type', 'value', toString(event_type)),
                    map('key', 'model', 'value', toString(model)),
                    map('key', 'outcome', 'value', toString(outcome)),
                    map('key', 'cost_usd', 'value', ifNull(toString(cost_usd), ''))
                ]) AS tags,
                [map('key', 'service.version', 'value', toString(service_version))] AS serviceTags,
                if(outcome = 'error', 2, 0) AS statusCode
            FROM spanledger.events
            WHERE trace_id = '${trace_id}' AND span_id != ''
            ORDER BY time
            LIMIT 1000
            """,
            width=24,
            height=14,
        ),
        Panel(
            "table",
            "Steps",
            "The same steps in plain words, with each row's state and its place in the chain.",
            """
            SELECT time, what, outcome, duration_ms, model, prompt_name, prompt_version, cost_usd, state, event_id,
                chain, seq
            FROM spanledger.timeline
            WHERE trace_id = '${trace_id}'
            ORDER BY time, seq
            LIMIT 1000
            """,
            width=24,
            height=12,
            links={"event_id": EVENT},
            units={"duration_ms": "ms", "cost_usd": "currencyUSD"},
        ),
    ],
    variables=[text_variable("trace_id", "Trace", "")],
)

DASHBOARDS: Sequence[Dashboard] = (ACTIVITY, COST, LATENCY, TOOLS, REVIEW, INTEGRITY, MODELS, TRACE_VIEW)
