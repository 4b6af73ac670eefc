"""Opening the store to read: the access is recorded, the spool is drained where nobody else does it, then the read.

Rules
- Order: access row into the spool, store opened, tables made if we own it, spool drained (our own row included), read.
- A store that another process owns is read through the read-only attachment; its owner ships.
- A failing drain does not keep anyone from reading what is stored; it is said on stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import SpanledgerError, StoreError
from spanledger_exporter.read.access import Access, record_access
from spanledger_exporter.store.connection import Store, open_store
from spanledger_exporter.store.schema import ensure_schema


@contextmanager
def open_for_reading(settings: Settings, access: Access | None, *, warn: Callable[[str], None]) -> Generator[Store]:
    """Yield the store, ready to be read; `access` is None only for what shows no event, such as `doctor`.

    Raises StoreError when there is no store, or when the access must be recorded and cannot be.
    """
    if access is not None:
        record_access(settings, access, warn=warn)
    with open_store(settings, role="reader") as store:
        if not store.is_read_only:
            _bring_up_to_date(settings, store, warn=warn)
        yield store


def _bring_up_to_date(settings: Settings, store: Store, *, warn: Callable[[str], None]) -> None:
    from spanledger_exporter.ship.shipper import drain  # noqa: PLC0415 - readers of a server with read rights skip it

    try:
        ensure_schema(store)
        drain(settings, store)
    except StoreError as error:
        if store.is_embedded:
            raise
        warn(f"reading what is stored; the spool of this host was not shipped: {error}")
    except (SpanledgerError, OSError) as error:
        warn(f"reading what is stored; not everything in the spool could be shipped: {error}")
