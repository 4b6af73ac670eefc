"""Which rows that came over OTLP are no second event, because the span's own process recorded its end (adr/0011).

Asked for the few rows of a page, and not as a condition on every row: in a ledger that is half received that would be a
set of half its ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from spanledger_exporter.read.criteria import Conditions
from spanledger_exporter.read.span_rows import rows_of_spans
from spanledger_exporter.store.connection import Store

Found = TypeVar("Found")

_RECORDED: Final = Conditions(("capture_tier = 'captured'",), {})


class ReceivedRow(NamedTuple):
    """What tells of which span a received row is."""

    tenant: str
    event_id: str
    trace_id: str


def without_recorded_too(
    store: Store, found: Sequence[Found], received: Callable[[Found], ReceivedRow | None]
) -> list[Found]:
    """Return what was found without what was received of spans that their own processes recorded, to their end.

    `received` tells of which span something was received; None where it was not.
    """
    spans = [received(one) for one in found]
    asked = [(span.event_id, span.trace_id) for span in spans if span is not None]
    recorded = rows_of_spans(store, asked, _RECORDED)
    return [
        one
        for one, span in zip(found, spans, strict=True)
        if span is None or (span.tenant, span.event_id) not in recorded
    ]
