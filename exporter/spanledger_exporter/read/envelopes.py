"""Reading stored rows as events: the questions that ask for envelopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spanledger_exporter.ledger.row import row_hashes
from spanledger_exporter.read.event import Event
from spanledger_exporter.read.places import AT_PLACES, Place, at_places
from spanledger_exporter.store.connection import Store

_COLUMNS = "lower(hex(chain_id)), seq, lower(hex(row_hash)), time_ns, env, prev_hash"
_ONCE = "LIMIT 1 BY chain_id, seq, row_hash, prev_hash, time_ns, env"
"""A row that was delivered twice is one; a copy under the same hash that says something else is another."""


def of_tenant(tenant: str) -> tuple[str, dict[str, Any]]:
    """Return what limits a question to a tenant, and its parameter; nothing without a tenant."""
    return ("AND tenant = {tenant:String} ", {"tenant": tenant}) if tenant else ("", {})


def read_events(store: Store, where: str, parameters: Mapping[str, Any], *, tenant: str) -> list[Event]:
    """Return the rows that meet a condition, each once, in no order."""
    condition, values = of_tenant(tenant)
    rows = store.query(
        f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE ({where}) {condition}{_ONCE}", {**parameters, **values}
    )
    return [_event(row) for row in rows]


def read_newest(store: Store, where: str, *, tenant: str, limit: int, offset: int) -> list[Event]:
    """Return a page of the rows that meet a condition, each once, the newest first."""
    condition, values = of_tenant(tenant)
    rows = store.query(
        f"SELECT {_COLUMNS} FROM {store.database}.rows WHERE ({where}) {condition}"
        f"ORDER BY time_ns DESC, chain_id, seq DESC {_ONCE} LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
        {**values, "limit": limit, "offset": offset},
    )
    return [_event(row) for row in rows]


def read_events_at(store: Store, places: Sequence[Place], *, tenant: str) -> list[Event]:
    """Return the rows at places of chains; an intent's completion is not looked for."""
    if not places:
        return []
    wanted = {(place.chain, place.seq) for place in places}
    found = read_events(store, AT_PLACES, at_places(sorted(wanted)), tenant=tenant)
    return [event for event in found if (event.chain, event.seq) in wanted]


def _event(row: Sequence[Any]) -> Event:
    """Return a row of `_COLUMNS`; one that does not hash to its own row hash says so, however far the log covers it."""
    *said, prev_hash = row
    chain, seq, hash_hex, time_ns, env = said
    event = Event.from_row(*said)
    _, derived = row_hashes(bytes.fromhex(chain), seq, prev_hash, time_ns, env.encode("utf-8", "surrogateescape"))
    return event if derived.hex() == hash_hex else replace(event, state="altered")
