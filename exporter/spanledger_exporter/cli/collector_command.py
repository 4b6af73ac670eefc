"""`spanledger collector`: OTLP in, rows out; ships, seals and keeps the embedded store while it runs."""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING

from spanledger_exporter.cli.numbers import port
from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.termination import on_stop
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import ConfigurationError, SpanledgerError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

HTTP_PORT, GRPC_PORT = 4318, 4317
STOP_GRACE_S = 5.0

EPILOG = """\
Applications in any language, and other OpenTelemetry collectors, send their traces here. A request is acknowledged
when its rows are in the spool. Anybody who can reach the ports can add rows: listen on loopback (the default), or put
a proxy in front that knows its senders.

examples:
  spanledger collector
  spanledger collector --host 0.0.0.0 --grpc-port 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `collector`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--http-port", type=port, default=HTTP_PORT, help="OTLP over HTTP (4318)")
    parser.add_argument("--grpc-port", type=port, default=GRPC_PORT, help="OTLP over gRPC (4317)")
    parser.add_argument("--no-ship", action="store_true", help="only fill the spool: another process ships and seals")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    try:
        from spanledger_exporter.collector.grpc_service import make_grpc_server  # noqa: PLC0415
        from spanledger_exporter.collector.http_app import make_http_app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"expected the extra `collector`, {error.name} is missing: pip install 'spanledger[collector]'"
        ) from error
    from spanledger_exporter.collector.ingest import Ingest  # noqa: PLC0415 - pulls the OpenTelemetry SDK in
    from spanledger_exporter.ship.follow import follow  # noqa: PLC0415

    settings = load_settings()
    ingest = Ingest(settings)
    grpc_server, grpc_port = make_grpc_server(ingest.record, f"{arguments.host}:{arguments.grpc_port}")
    http = _http_server(make_http_app(ingest.record), arguments.host, arguments.http_port)
    http_thread = threading.Thread(target=http.run, name="spanledger-otlp-http", daemon=True)
    stopped = threading.Event()
    follower = None if arguments.no_ship else follow(settings)

    def stop() -> None:
        stopped.set()
        if follower:
            follower.stop()

    on_stop(stop)
    grpc_server.start()
    http_thread.start()
    say(f"OTLP over HTTP on {_address_of(http, http_thread)}, over gRPC on {arguments.host}:{grpc_port}")
    try:
        if follower:
            follower.run()
        stopped.wait()
    finally:
        http.should_exit = True
        grpc_server.stop(STOP_GRACE_S).wait()
        http_thread.join(STOP_GRACE_S)
        ingest.close()
    say("stopped; what arrived after the last shipment is in the spool")
    return 0


def _http_server(app: Starlette, host: str, port: int) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - an extra

    # In a thread of its own uvicorn leaves the signals to the command.
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off"))


def _address_of(server: uvicorn.Server, thread: threading.Thread) -> str:
    while not server.started:
        if not thread.is_alive():
            raise SpanledgerError(
                f"expected to listen on {server.config.host}:{server.config.port} for OTLP over HTTP, and could not: "
                "is another collector running?"
            )
        thread.join(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    return f"{host}:{port}"
