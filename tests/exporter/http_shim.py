"""A ClickHouse server for tests: the HTTP interface over chDB, in a process of its own, with knobs for faults.

    with HttpShim(directory) as shim:
        shim.fault("reset_after", on="INSERT INTO `spanledger`.`rows`", times=2)
        ...

The real clickhouse-connect client talks to it. `on` selects statements by their beginning (case counts); the next
`times` of them meet the fault. Faults:

| name         | what happens                                                                                        |
|--------------|-----------------------------------------------------------------------------------------------------|
| reset_before | the connection is reset, nothing was executed                                                       |
| reset_after  | the connection is reset, the statement was executed                                                 |
| slow         | executed, answered after `SLOW_S` seconds: longer than a client of the tests waits                  |
| status_503   | 503, nothing was executed                                                                           |
| status_500   | 500 with an exception code of overload, nothing was executed                                        |
| late_500     | 500 with an exception code of overload, though it was executed                                      |
| truncated    | executed, the answer ends in the middle                                                             |
| die_before   | the server process dies, nothing was executed                                                       |
| die_after    | the server process dies, the statement was executed                                                 |

Run as a program it is the server itself.
"""

from __future__ import annotations

import argparse
import base64
import email.parser
import email.policy
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

SLOW_S = 1.3
USER, PASSWORD = "ledger", "correct horse"
_TRANSPORT = {"query", "database", "query_id", "session_id", "wait_end_of_query", "client_protocol_version"}
_NATIVE_INSERT = re.compile(rb"\A(INSERT INTO .*?) FORMAT Native\n", re.DOTALL)
_OVERLOADED = 202


class HttpShim:
    """The server as a test holds it. `port` stays the same over restarts."""

    def __init__(self, directory: Path, *, tls: Sequence[str] = ()) -> None:
        self.directory = directory
        self.port = _free_port()
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def url(self, *, password: str = PASSWORD, options: str = "timeout_s=1&connect_timeout_s=1") -> str:
        """Return the store URL."""
        secret = urllib.request.quote(password)  # type: ignore[attr-defined]
        return f"clickhouse://{USER}:{secret}@127.0.0.1:{self.port}/spanledger?{options}"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        arguments = [sys.executable, __file__, "--directory", str(self.directory), "--port", str(self.port)]
        self._process = subprocess.Popen([*arguments, *self._tls])
        while not self._answers():
            assert self._process.poll() is None, "the server ended while it started"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            if self._tls:  # the certificate is the tests' business
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """Kill the server the hard way."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait_for_death(self) -> None:
        """Return when the server died of a fault."""
        assert self._process is not None
        self._process.wait(timeout=20)
        self._process = None

    def fault(self, name: str, *, on: str = "INSERT INTO", times: int = 1) -> None:
        """Let the next `times` statements that begin with `on` meet a fault."""
        body = json.dumps({"name": name, "on": on, "times": times}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/fault", data=body, timeout=5):
            pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Engine:
    """chDB behind one lock, spoken to in the statements of HTTP requests."""

    def __init__(self, directory: Path) -> None:
        import clickhouse_connect

        configuration = directory.with_suffix(".xml")
        configuration.write_text("<clickhouse><logger><level>none</level></logger></clickhouse>")
        client: Any = clickhouse_connect.get_client(
            interface="chdb", path=str(directory), chdb_options={"config-file": str(configuration)}
        )
        self._backend = client._backend
        self._lock = threading.Lock()

    def run(self, body: bytes, arguments: dict[str, str]) -> bytes:
        parameters = {name[6:]: value for name, value in arguments.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in arguments.items()
            if name not in _TRANSPORT and not name.startswith(("param_", "http_", "send_progress"))
        }
        database = arguments.get("database")
        with self._lock:
            if match := _NATIVE_INSERT.match(body):
                return self._insert(match[1].decode(), body[match.end() :], settings, database)
            result = self._backend._run_with_settings(
                body, "TabSeparated", settings, params=parameters, database=database
            )
            return result.bytes() or b""

    def _insert(self, head: str, native: bytes, settings: dict[str, str], database: str | None) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(native)
            file.flush()
            clause = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
            sql = f"{head} FROM INFILE '{file.name}'{f' SETTINGS {clause}' if clause else ''} FORMAT Native"
            self._backend._run(sql, "TabSeparated", database=database)
        return b""


class _Faults:
    """What the next statements will meet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[dict[str, Any]] = []

    def plan(self, fault: dict[str, Any]) -> None:
        with self._lock:
            self._planned.append(fault)

    def take(self, body: bytes) -> str:
        with self._lock:
            for fault in self._planned:
                if fault["times"] > 0 and body.startswith(fault["on"].encode()):
                    fault["times"] -= 1
                    return str(fault["name"])
        return ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: _Engine
    faults: _Faults

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Stay silent."""

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/fault":
            self.faults.plan(json.loads(body))
            self._answer(200, b"")
            return
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._refuse(403, 516, f"{USER}: Authentication failed (AUTHENTICATION_FAILED)")
            return
        arguments = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get_content_type() == "multipart/form-data":
            arguments |= self._form(body)
            body = b""
        statement = arguments.get("query", "").encode()
        self._execute(statement + (b"\n" if statement.endswith(b"FORMAT Native") else b"") + body, arguments)

    def _execute(self, body: bytes, arguments: dict[str, str]) -> None:
        fault = self.faults.take(body)
        match fault:
            case "reset_before":
                return self._reset()
            case "status_503":
                return self._answer(503, b"overloaded")
            case "status_500":
                return self._refuse(500, _OVERLOADED, "Too many simultaneous queries")
            case "die_before":
                os._exit(9)
            case _:
                pass
        try:
            answer = self.engine.run(body, arguments)
        except Exception as error:
            code = getattr(error, "code", None) or 1001
            return self._refuse(500, code, str(error))
        match fault:
            case "reset_after":
                return self._reset()
            case "late_500":
                return self._refuse(500, _OVERLOADED, "Too many simultaneous queries")
            case "die_after":
                os._exit(9)
            case "slow":
                time.sleep(SLOW_S)
            case _:
                pass
        form = re.search(rb"FORMAT (\w+)\s*\Z", body[-200:])
        headers = {"X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC"}
        if form:
            headers["X-ClickHouse-Format"] = form[1].decode()
        self._answer(200, answer, headers, is_cut=fault == "truncated")
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if encoding := self.headers.get("Content-Encoding"):
            from clickhouse_connect.driver._backend.chdb_backend import _decompress

            return bytes(_decompress(body, encoding))
        return body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        parts: Any = message
        return {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
            for part in parts.iter_parts()
        }

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _refuse(self, status: int, code: int, text: str) -> None:
        self._answer(status, text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, is_cut: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + (100 if is_cut else 0)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
        if is_cut:
            self._reset()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that left is no news."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=Path, help="PEM with certificate and key: speak TLS")
    parser.add_argument("--client-ca", type=Path, help="PEM of the authority that clients' certificates must be from")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    _Handler.engine, _Handler.faults = _Engine(arguments.directory), _Faults()
    server = _Server(("127.0.0.1", arguments.port), _Handler)
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=arguments.client_ca)
        context.load_cert_chain(arguments.certificate)
        context.verify_mode = ssl.CERT_REQUIRED if arguments.client_ca else ssl.CERT_NONE
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
