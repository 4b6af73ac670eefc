"""OTLP requests in both encodings become the same spans, and nothing that arrives is lost or crashes us."""

from __future__ import annotations

import gzip
import json
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import orjson
import pytest
import uvicorn
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from spanledger_exporter.collector.encoding import TooLargeError, decompress
from spanledger_exporter.collector.grpc_service import make_grpc_server
from spanledger_exporter.collector.http_app import make_http_app
from spanledger_exporter.collector.ingest import Ingest
from spanledger_exporter.collector.otlp import Malformed, Received, parse_json, parse_protobuf
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import DataError, SpanledgerError
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.spool.reader import chains

JSON_REQUEST: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "triage"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "other.language.sdk", "version": "3"},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "chat gpt-5",
                            "kind": 3,
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "attributes": [
                                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "12"}},
                                {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
                            ],
                            "status": {"code": 2, "message": "rate limit"},
                        }
                    ],
                }
            ],
        }
    ]
}


def spans_of_the_sdk() -> list[ReadableSpan]:
    """Two real spans, parent and child, with an event and nested attribute values."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("app", "1.2")
    with (
        tracer.start_as_current_span("agent"),
        tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT, attributes={"gen_ai.operation.name": "chat"}) as s,
    ):
        s.set_attribute("numbers", [1, 2])
        s.add_event("first token", {"index": 0})
    return list(memory.get_finished_spans())


def test_a_json_request_becomes_spans_with_hex_ids_and_64_bit_integers() -> None:
    """The example of the OTLP specification, read field by field."""
    (span,) = parse_json(orjson.dumps(JSON_REQUEST))
    assert isinstance(span, ReadableSpan)
    assert span.context is not None
    assert span.parent is not None
    assert format(span.context.trace_id, "032x") == "5b8efff798038103d269b633813fc60c"
    assert format(span.parent.span_id, "016x") == "eee19b7ec3c1b173"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 12,
        "tags": ["a"],
    }
    assert span.resource.attributes["service.name"] == "triage"


def test_spans_survive_the_protobuf_round_trip() -> None:
    """What the SDK's own encoder sends is what we read."""
    sent = spans_of_the_sdk()
    received = parse_protobuf(encode_spans(sent).SerializeToString())
    assert len(received) == len(sent)
    for before, after in zip(sent, received, strict=True):
        assert isinstance(after, ReadableSpan)
        assert before.context is not None
        assert after.context is not None
        assert (after.name, after.kind, after.start_time, after.end_time) == (
            before.name,
            before.kind,
            before.start_time,
            before.end_time,
        )
        assert (after.context.trace_id, after.context.span_id) == (before.context.trace_id, before.context.span_id)
        assert [event.name for event in after.events] == [event.name for event in before.events]


def test_a_span_with_a_wrong_id_does_not_take_its_neighbour_down() -> None:
    """The wrong one is kept as its own bytes with the reason."""
    request = orjson.loads(orjson.dumps(JSON_REQUEST))
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], "traceId": "not hex"})
    good, bad = parse_json(orjson.dumps(request))
    assert isinstance(good, ReadableSpan)
    assert isinstance(bad, Malformed)
    assert "expected an id in hex, got 'not hex'" in bad.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": 7}, "expected name to be a text, got int"),
        ({"status": {"code": 2, "message": [1]}}, "expected status.message to be a text"),
        ({"startTimeUnixNano": str(2**63)}, "expected startTimeUnixNano from 1970 to 2262"),
        ({"endTimeUnixNano": True}, "expected an integer or its digits, got True"),
        ({"events": [{"name": 5, "attributes": []}]}, "expected an event's name to be a text"),
        ({"attributes": [{"key": 1, "value": {}}]}, "expected an attribute's key to be a text, got int"),
        ({"attributes": [{"key": "a", "value": {"stringValue": 1}}]}, "expected stringValue to be a text"),
        ({"attributes": [{"key": "a", "value": {"boolValue": "yes"}}]}, "expected boolValue to be true or false"),
        ({"attributes": [{"key": "a", "value": {"intValue": 1.5}}]}, "expected an integer or its digits, got 1.5"),
        ({"attributes": [{"key": "a", "value": {"intValue": str(2**70)}}]}, "expected an integer of 64 bits"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": None, "boolValue": True}}]}, "expected one value"),
        ({"attributes": [{"key": "a", "value": {"laterValue": 1}}]}, "of a kind that OTLP knows, got laterValue"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "!"}}]}, "Only base64 data"),
    ],
)
def test_a_value_of_another_type_makes_a_span_malformed_and_says_where(change: dict[str, Any], reason: str) -> None:
    """Nothing is guessed or cut off, and the span beside it is read."""
    request = orjson.loads(orjson.dumps(JSON_REQUEST))
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], **change})
    good, bad = parse_json(orjson.dumps(request))
    assert isinstance(good, ReadableSpan)
    assert isinstance(bad, Malformed)
    assert reason in bad.reason


def places_in(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where every value inside a JSON value stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*place, key), *places_in(item, (*place, key))]]


SPAN = JSON_REQUEST["resourceSpans"][0]["scopeSpans"][0]["spans"][0]


@given(place=st.sampled_from(places_in(SPAN)), odd=st.sampled_from([None, "", "x", 0, -1, 1e300, True, [], {}, [{}]]))
def test_an_odd_value_anywhere_in_a_span_costs_no_row(place: tuple[str | int, ...], odd: object) -> None:
    """The span is recorded as what it is or as `raw`, and so is its neighbour."""
    span = orjson.loads(orjson.dumps(SPAN))
    inside = span
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = odd
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {**SPAN, "spanId": "00000000000000aa"}]}]}]}
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings({"SPANLEDGER_DIR": directory, "SPANLEDGER_SPANS": "all"}, working_directory=Path("/"))
        ingest = Ingest(settings)
        ingest.record(parse_json(orjson.dumps(request)))
        ingest.close()
        frames = [frame.record for chain in chains(settings.spool_directory) for frame in chain.read()]
    types = [orjson.loads(record.env)["event_type"] for record in frames if isinstance(record, Row)]
    assert len(types) == 4, types  # chain.open, two spans, chain.close


@given(st.binary(max_size=200))
def test_no_body_makes_the_parsers_raise_anything_of_their_own(body: bytes) -> None:
    """Whatever bytes come: spans, or DataError."""
    for parse in (parse_json, parse_protobuf):
        try:
            parse(body)
        except DataError:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "traceId", "kind"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_no_json_document_makes_the_parser_raise_anything_of_its_own(document: object) -> None:
    """Valid JSON of the wrong shape is refused with DataError, too."""
    try:
        parse_json(json.dumps(document).encode())
    except DataError:
        return


def test_a_compressed_body_is_never_unpacked_past_the_limit() -> None:
    """A thousandfold bomb stops at the limit."""
    with pytest.raises(TooLargeError, match="at most 1000 bytes"):
        decompress(gzip.compress(b"\0" * 10_000_000), "gzip", limit=1000)


def test_a_truncated_compressed_body_is_refused() -> None:
    """Half a gzip stream is not a shorter request."""
    with pytest.raises(DataError, match="ends early"):
        decompress(gzip.compress(b"whole body" * 100)[:-12], "gzip")


class Spool:
    """Stands for the recorder: keeps what came, or refuses."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refuses = False

    def record(self, spans: Sequence[Received]) -> int:
        if self.refuses:
            raise SpanledgerError("expected room in the spool, got a full disk: free some")
        self.received.extend(spans)
        return len(spans)


@pytest.fixture
def spool() -> Spool:
    """Start with an empty spool that accepts."""
    return Spool()


@pytest.fixture
def http_url(spool: Spool) -> Iterator[str]:
    """Serve the application over real HTTP."""
    server = uvicorn.Server(
        uvicorn.Config(make_http_app(spool.record, max_body_bytes=100_000), port=0, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_sdks_own_http_exporter_delivers(spool: Spool, http_url: str) -> None:
    """What OpenTelemetry's exporter sends, gzip included, is recorded before it hears success."""
    from opentelemetry.exporter.otlp.proto.http import Compression

    exporter = HttpExporter(endpoint=f"{http_url}/v1/traces", compression=Compression.Gzip)
    assert exporter.export(spans_of_the_sdk()) is SpanExportResult.SUCCESS
    assert [span.name for span in spool.received if isinstance(span, ReadableSpan)] == ["chat m", "agent"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "says"),
    [
        ({"content-type": "text/plain"}, b"x", 415, "expected Content-Type"),
        ({"content-type": "application/json"}, b"{", 400, "expected an ExportTraceServiceRequest in JSON"),
        ({"content-type": "application/x-protobuf"}, b"\xff", 400, "in protobuf"),
        ({"content-type": "application/json"}, b"[" * 100_001, 413, "send smaller batches"),
        ({"content-type": "application/json", "content-encoding": "br"}, b"{}", 400, "expected Content-Encoding"),
    ],
)
def test_an_unreadable_request_is_answered_with_a_status_body(
    http_url: str, *, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    """The sender learns what was wrong in its own encoding, and is not told to retry."""
    answer = httpx.post(f"{http_url}/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    if "protobuf" in answer.headers["content-type"]:
        assert says in Status.FromString(answer.content).message
    else:
        assert says in answer.json()["message"]


def test_a_full_spool_makes_the_sender_try_again(spool: Spool, http_url: str) -> None:
    """503 with Retry-After: the sender keeps its copy."""
    spool.refuses = True
    answer = httpx.post(f"{http_url}/v1/traces", json=JSON_REQUEST)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "full disk" in answer.json()["message"]


def test_the_sdks_own_grpc_exporter_delivers(spool: Spool) -> None:
    """The gRPC service records the same spans."""
    server, port = make_grpc_server(spool.record, "127.0.0.1:0")
    server.start()
    exporter = GrpcExporter(endpoint=f"127.0.0.1:{port}", insecure=True)
    try:
        assert exporter.export(spans_of_the_sdk()) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
        server.stop(grace=1).wait()
    assert len(spool.received) == 2


def test_a_full_spool_is_unavailable_over_grpc(spool: Spool) -> None:
    """UNAVAILABLE is the status that senders retry."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    spool.refuses = True
    server, port = make_grpc_server(spool.record, "127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
            with pytest.raises(grpc.RpcError, match=r"StatusCode\.UNAVAILABLE"):
                stub.Export(trace_service_pb2.ExportTraceServiceRequest())
    finally:
        server.stop(grace=1).wait()


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_a_collector_before_this_one_recorded_is_recorded_once(tmp_path: Path, is_killed: bool) -> None:
    """Its acknowledgement never arrived, so the sender tries again at the next; what is new goes in."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path)}, working_directory=tmp_path)
    before, span = Ingest(settings), JSON_REQUEST["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    before.record(parse_json(orjson.dumps(JSON_REQUEST)))
    if not is_killed:
        before.close()
    another = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span, "spanId": "eee19b7ec3c1b175"}]}]}]}
    for _ in range(2):  # a collector that recorded nothing new does not forget either
        after = Ingest(settings)
        after.record(parse_json(orjson.dumps(JSON_REQUEST)))
        after.record(parse_json(orjson.dumps(another)))
        after.close()
    events = [
        orjson.loads(frame.record.env)["event_id"]
        for chain in chains(settings.spool_directory)
        for frame in chain.read()
        if isinstance(frame.record, Row) and b'"model_call"' in frame.record.env
    ]
    assert sorted(event.rpartition(":")[2] for event in events) == ["eee19b7ec3c1b174", "eee19b7ec3c1b175"]
    before.close()
