"""The invocation core: from a description of a client's calls to one span, metrics and a hand-over per call.

A client package writes an `Exchange` per kind of call and a `ClientInstrumentor` that lists its patches.
Life of a call:

1. `observe` (or `observe_async`) wraps the method. It asks whether the call is ours to record and finds the call site.
2. The client's function gives an `Exchange`: the immutable `InvocationRequest`, with content as `Deferred` sequences.
3. `start_call` starts the span in a context with the hand-over; the library's method runs in one with the span.
4. The answer becomes an `InvocationResult`: at once, at the end of a stream, or when a raw response is parsed.
5. `Call.finish` sets the hand-over's result, attributes, status and metrics, and ends the span, exactly once.
"""

from __future__ import annotations

from spanledger.invocation.call import Call, error_type_of
from spanledger.invocation.call_site import find_call_site
from spanledger.invocation.coexistence import Rival
from spanledger.invocation.deferred import Deferred, DeferredMapping
from spanledger.invocation.digests import prompt_digest, tool_digest, tool_digests
from spanledger.invocation.faults import report_once, warn_once
from spanledger.invocation.instrumentor import ClientInstrumentor
from spanledger.invocation.observe import Exchange, observe, observe_async
from spanledger.invocation.patches import Patch, PatchSet
from spanledger.invocation.stream import AsyncStreamObserver, StreamObserver, StreamReducer, observe_stream
from spanledger.invocation.telemetry import Telemetry

__all__ = [
    "AsyncStreamObserver",
    "Call",
    "ClientInstrumentor",
    "Deferred",
    "DeferredMapping",
    "Exchange",
    "Patch",
    "PatchSet",
    "Rival",
    "StreamObserver",
    "StreamReducer",
    "Telemetry",
    "error_type_of",
    "find_call_site",
    "observe",
    "observe_async",
    "observe_stream",
    "prompt_digest",
    "report_once",
    "tool_digest",
    "tool_digests",
    "warn_once",
]
