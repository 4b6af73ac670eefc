"""Alert rules: what should wake somebody, as Grafana's provisioning file.

Rules
- No `$__conditionalAll` here: it works only in panels.
- What happened is looked for by when the store took it (`stored_at`): an outage's rows come late, and are the news.
- A store without rows raises no alarm.
- Each rule is one query that returns one number, and a threshold; its annotation says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana.panels import PLUGIN

DATASOURCE_UID = "spanledger-clickhouse"
OVERDUE = "ifNull(parseDateTime64BestEffortOrNull(due, 3, 'UTC') < now64(), time < now() - INTERVAL 24 HOUR)"
"""What waits too long: past the time that somebody said, or for a day where nobody did (or nothing that is a time)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Fires when `sql` gives a number above `above` for `for_minutes`. `window_s` is how far the query looks back."""

    uid: str
    title: str
    sql: str
    above: float
    what_to_do: str
    severity: str = "critical"
    for_minutes: int = 0
    window_s: int = 3600


ALERTS: Sequence[Alert] = (
    Alert(
        "spanledger-verdict",
        "The monitor says that the ledger was tampered with",
        "SELECT toUInt8(argMax(JSONExtractString(env, 'monitor', 'verdict'), time) = 'tampered') AS value "
        "FROM spanledger.events WHERE event_type = 'heartbeat' AND name = 'monitor'",
        0,
        "Run `spanledger verify`: it names the place. Keep the store, the spool and the anchors as they are.",
    ),
    Alert(
        "spanledger-gap",
        "A chain has a gap or two histories",
        "SELECT sum(missing) + sum(equivocations) AS value FROM spanledger.integrity",
        0,
        "Run `spanledger verify`: it names the chain and the place. Keep the store as it is.",
    ),
    Alert(
        "spanledger-mutation",
        "Somebody changed a ledger table",
        "SELECT count() AS value FROM system.mutations WHERE database = 'spanledger' "
        "AND table IN ('rows', 'content', 'log', 'checkpoints', 'anchors')",
        0,
        "Nothing of ours mutates these tables. See system.mutations for the command, then run `spanledger verify`.",
    ),
    Alert(
        "spanledger-checkpoint-age",
        "No checkpoint for ten minutes while rows arrive",
        "SELECT if(sum(unsealed_rows) > 0, (SELECT dateDiff('second', max(created_at), now64(6)) "
        "FROM spanledger.checkpoints), 0) AS value FROM spanledger.integrity",
        600,
        "The sealer stands still: see `spanledger doctor`. Rows that no checkpoint covers are not protected yet.",
        for_minutes=5,
    ),
    Alert(
        "spanledger-anchor-age",
        "No anchor for an hour",
        "SELECT if((SELECT count() FROM spanledger.checkpoints) = 0, 0, "
        "dateDiff('second', max(created_at), now64(6))) AS value FROM spanledger.anchors",
        3600,
        "An anchor cannot be reached: `spanledger anchor` says which one and why.",
        severity="warning",
        for_minutes=10,
    ),
    Alert(
        "spanledger-loss",
        "Events were lost",
        "SELECT count() AS value FROM spanledger.events WHERE event_type = 'loss' AND $__timeFilter(stored_at)",
        0,
        "The `loss` rows say how many, when and why; usually a full disk. Free space, then see `spanledger doctor`.",
    ),
    Alert(
        "spanledger-spool-lag",
        "Rows reach the store more than a minute late",
        "SELECT ifNotFinite(quantile(0.95)(dateDiff('second', fromUnixTimestamp64Nano(toInt64(time_ns)), stored_at)), "
        "0) AS value FROM spanledger.rows WHERE $__timeFilter(stored_at)",
        60,
        "The shipper is behind: see `spanledger doctor` for spool depth and the store's answer.",
        severity="warning",
        for_minutes=10,
    ),
    Alert(
        "spanledger-error-rate",
        "More than a fifth of the model calls fail",
        "SELECT ifNotFinite(countIf(outcome = 'error') / count(), 0) AS value FROM spanledger.events "
        "WHERE event_type = 'model_call' AND $__timeFilter(time)",
        0.2,
        "See the dashboard Latency and errors for the class of the error and the provider.",
        severity="warning",
        for_minutes=5,
        window_s=900,
    ),
    Alert(
        "spanledger-overdue-review",
        "Something waits for a person too long",
        f"SELECT count() AS value FROM spanledger.review_queue WHERE {OVERDUE}",
        0,
        "It is past its due time, or older than a day. The review queue of the console lists what waits, oldest first.",
        severity="warning",
    ),
    Alert(
        "spanledger-self-review",
        "Somebody approved the own draft",
        "SELECT count() AS value FROM spanledger.events WHERE event_type = 'human_review' "
        "AND JSONExtractBool(env, 'review', 'is_self_review') "
        "AND JSONExtractString(env, 'review', 'action') IN ('approve', 'edit') AND $__timeFilter(stored_at)",
        0,
        "Four eyes were not at work: the reviews dashboard names the case and the reviewer.",
        severity="warning",
        window_s=86400,
    ),
)


def alerts_document(alerts: Sequence[Alert] = ALERTS) -> dict[str, Any]:
    """Return the provisioning document of all rules, in one group that is evaluated each minute."""
    rules = [_rule(alert) for alert in alerts]
    return {
        "apiVersion": 1,
        "groups": [
            {"orgId": 1, "name": "spanledger", "folder": "spanledger", "interval": "1m", "rules": rules},
        ],
    }


def _rule(alert: Alert) -> dict[str, Any]:
    query = {
        "refId": "A",
        "editorType": "sql",
        "queryType": "table",
        "format": 1,
        "rawSql": alert.sql,
        "datasource": {"type": PLUGIN, "uid": DATASOURCE_UID},
    }
    threshold = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [alert.above]}}],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
    }
    window = {"from": alert.window_s, "to": 0}
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "B",
        "data": [
            {"refId": "A", "datasourceUid": DATASOURCE_UID, "relativeTimeRange": window, "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": window, "model": threshold},
        ],
        "for": f"{alert.for_minutes}m",
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.title, "description": alert.what_to_do},
    }
