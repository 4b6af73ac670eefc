"""The witness over HTTP, with nothing but the standard library.

    POST /add-checkpoint     see `witness`
    GET  /                   the witness's vkey, for whoever configures a log

Rules
- Behind anything but loopback, put a proxy that speaks TLS in front: requests carry no secrets, but an answer on the
  open line could be dropped by whoever wants a checkpoint unwitnessed.
- A body is read up to 1 MB, a connection is given up after 30 seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from spanledger_exporter.ledger.note import MAX_NOTE_BYTES
from spanledger_exporter.witness.protocol import PATH
from spanledger_exporter.witness.witness import Answer, Witness

CONNECTION_TIMEOUT_S = 30
_log = logging.getLogger(__name__)


def make_server(witness: Witness, *, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server that answers for `witness`; `serve_forever` runs it."""

    class Handler(_Handler):
        pass

    Handler.witness = witness
    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


@contextmanager
def serving(witness: Witness, *, host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
    """Serve in a thread and yield the URL."""
    server = make_server(witness, host=host, port=port)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    witness: Witness
    protocol_version = "HTTP/1.1"
    server_version = "spanledger-witness"
    timeout = CONNECTION_TIMEOUT_S

    def do_POST(self) -> None:
        if self.path != PATH:
            self._answer(Answer(HTTPStatus.NOT_FOUND, f"expected POST {PATH}\n"))
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_NOTE_BYTES:
            self.close_connection = True
            self._answer(Answer(HTTPStatus.BAD_REQUEST, f"expected a Content-Length up to {MAX_NOTE_BYTES}\n"))
            return
        self._answer(self.witness.add_checkpoint(self.rfile.read(int(length))))

    def do_GET(self) -> None:
        is_known = self.path == "/"
        body = f"{self.witness.signer.verifier_key.vkey}\n" if is_known else "expected GET /\n"
        self._answer(Answer(HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND, body))

    def _answer(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        _log.info("%s %s", self.address_string(), format % args)
