"""Reading stored rows as events: the questions that ask for envelopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spanledger_exporter.read.event import Event
from spanledger_exporter.read.places import AT_PLACES, Place, at_places
from spanledger_exporter.store.connection import Store

_COLUMNS = "lower(hex(chain_id)), seq, lower(hex(row_hash)), time_ns, env"
_ONCE = "LIMIT 1 BY chain_id, seq, row_hash"


def of_tenant(tenant: str) -> tuple[str, dict[str, Any]]:
    """Return what limits a question to a tenant, and its parameter; nothing without a tenant."""
    return ("AND tenant = {tenant:String} ", {"tenant": tenant}) if tenant else ("", {})


def read_events(store: Store, where: str, parameters: Mapping[str, Any], *, tenant: str) -> list[Event]:
    """Return the rows that meet a condition, each once, in no order."""
    condition, values = of_tenant(tenant)
    rows = store.query(
        f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE ({where}) {condition}{_ONCE}", {**parameters, **values}
    )
    return [Event.from_row(*row) for row in rows]


def read_newest(store: Store, where: str, *, tenant: str, limit: int, offset: int) -> list[Event]:
    """Return a page of the rows that meet a condition, each once, the newest first."""
    condition, values = of_tenant(tenant)
    rows = store.query(
        f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE ({where}) {condition}"
        f"ORDER BY time_ns DESC, chain_id, seq DESC {_ONCE} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
        {**values, "limit": limit, "offset": offset},
    )
    return [Event.from_row(*row) for row in rows]


def read_events_at(store: Store, places: Sequence[Place], *, tenant: str) -> list[Event]:
    """Return the rows at places of chains; an intent's completion is not looked for."""
    if not places:
        return []
    wanted = {(place.chain, place.seq) for place in places}
    found = read_events(store, AT_PLACES, at_places(sorted(wanted)), tenant=tenant)
    return [event for event in found if (event.chain, event.seq) in wanted]
