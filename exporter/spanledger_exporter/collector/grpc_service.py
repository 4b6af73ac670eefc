"""The OTLP/gRPC trace service: the same rules as over HTTP, in gRPC's status codes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from spanledger_exporter.collector.encoding import MAX_BODY_BYTES
from spanledger_exporter.collector.http_app import Record
from spanledger_exporter.collector.otlp import read_request
from spanledger_exporter.errors import SpanledgerError

WORKERS = 8


class TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    """Records each request before it answers."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def Export(  # noqa: N802 - the service definition's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Put the request's spans into the spool; UNAVAILABLE makes the sender try again."""
        try:
            self._record(read_request(request))
        except SpanledgerError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return trace_service_pb2.ExportTraceServiceResponse()


def make_grpc_server(record: Record, address: str) -> tuple[grpc.Server, int]:
    """Return a server that listens on `address` (host:port, port 0 for any free one) and its port; not started."""
    server = grpc.server(
        ThreadPoolExecutor(WORKERS, thread_name_prefix="spanledger-otlp"),
        options=[("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)],
    )
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(TraceService(record), server)  # type: ignore[no-untyped-call]  # generated code
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise SpanledgerError(
            f"expected to listen on {address} for OTLP over gRPC, got: {error}: is another collector running?"
        ) from error
    return server, port
