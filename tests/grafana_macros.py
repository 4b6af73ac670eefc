"""Expands the macros and variables of Grafana's ClickHouse data source as it documents them."""

from __future__ import annotations

import re

from ledgers import MONDAY_NS


def expand_macros(sql: str, *, trace_id: str = "", everything: bool = True) -> str:
    """Return SQL for the time since the day before every story, for all tenants and services or for those of one."""
    start, end = MONDAY_NS // 10**9 - 86_400, 4_000_000_000
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= toDateTime({start}) AND \1 <= toDateTime({end})", sql)
    sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)", sql)
    sql = re.sub(r"\$__conditionalAll\((.+?\)), \$\w+\)", "1=1" if everything else r"\1", sql)
    sql = sql.replace("${tenant:singlequote}", "'default'").replace("${service:singlequote}", "'triage','shipper',''")
    return sql.replace("${trace_id}", trace_id)
