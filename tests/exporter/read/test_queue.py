"""The review queue as pages read it is the view that people query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger_story import tell
from ledgers import Ledger
from spanledger_exporter.config import load_settings
from spanledger_exporter.read.queue import waiting
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield two tenants' stories, and a hundred escalations of which every other one was reviewed outside its case."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path_factory.mktemp("queue"))}, working_directory=Path("/"))
    ours, theirs = Ledger(), Ledger(tenant="acme")
    tell(ours)
    tell(theirs)
    chain = ours.open_chain()
    for number in range(100):
        body = {"to": "duty officer", "severity": "high", "due": "2026-11-03T08:00:00Z"}
        row = chain.append({"event_type": "escalation", "event_id": f"e:{number}", "name": "x", "escalation": body})
        if number % 2:
            review: dict[str, Any] = {
                "event_type": "human_review",
                "parent_event_id": f"e:{number}",
                "name": "review approve",
            }
            if number % 4 == 1:  # the time spent is estimated, or the reviewer's clock is slow
                review |= {"time": {"start": str(row.time_ns - 10**9), "end": str(row.time_ns + 10**9)}}
            chain.append(review)
            theirs.now_ns = max(theirs.now_ns, row.time_ns)
    other = theirs.open_chain()
    other.append({"event_type": "human_review", "parent_event_id": "e:0", "name": "of another tenant"})
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        for token in ("first", "delivered twice"):
            ours.write(store, token=f"{token} ours")
            theirs.write(store, token=f"{token} theirs")
        yield store


@pytest.mark.parametrize("tenant", ["", "default", "acme", "nobody"])
def test_the_pages_hold_what_the_view_holds(store: Store, tenant: str) -> None:
    """Same events, same words, same order; every page is full but the last."""
    where = f"WHERE tenant = '{tenant}'" if tenant else ""
    names, rows = store.query_table(f"SELECT * FROM review_queue {where} ORDER BY time, event_id")
    expected = [dict(zip(names, row, strict=True)) for row in rows]
    pages = [waiting(store, tenant=tenant, limit=20, offset=start) for start in range(0, 80, 20)]
    found = [item for page in pages for item in page]
    assert sorted(found, key=lambda item: (item["time"], item["event_id"])) == expected
    assert [item["time"] for item in found] == sorted(item["time"] for item in found)
    assert all(len(page) == 20 for page in pages[: len(found) // 20])


def test_a_review_settles_what_it_names_in_its_own_tenant_only(store: Store) -> None:
    """Odd escalations were reviewed, whenever the review says it began; somebody else's review says nothing here."""
    waits = {item["event_id"] for item in waiting(store, tenant="default", limit=1000)}
    assert {f"e:{number}" for number in range(0, 100, 2)} <= waits
    assert not {f"e:{number}" for number in range(1, 100, 2)} & waits
