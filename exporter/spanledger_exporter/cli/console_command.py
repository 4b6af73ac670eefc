"""`spanledger console`: serve the web console."""

from __future__ import annotations

import argparse
import socket
from contextlib import suppress
from pathlib import Path

from spanledger_exporter.cli.numbers import port
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import load_settings
from spanledger_exporter.console.options import DEFAULT_PORT, LOOPBACK, ConsoleOptions, Person, read_people
from spanledger_exporter.errors import ConfigurationError, SpanledgerError
from spanledger_exporter.read.access import login_name

EPILOG = """examples:
  spanledger console
  spanledger console --people people.txt --host 0.0.0.0 --name audit.example.com
  spanledger console --user-header X-Forwarded-User --tenant-header X-Tenant

Without --people or --user-header the console serves this machine only, and whoever runs it is the person in the access
log: every local user can reach it. A people file has one line per person: NAME SHA256-OF-TOKEN [TENANT]."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    parser.add_argument("--port", type=port, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}")
    parser.add_argument("--people", type=Path, metavar="FILE", help="who may sign in, with the hashes of their tokens")
    parser.add_argument("--user-header", default="", metavar="NAME", help="header in which a proxy says who asks")
    parser.add_argument("--tenant-header", default="", metavar="NAME", help="header in which it says of which tenant")
    parser.add_argument(
        "--proxy", action="append", metavar="ADDRESS", help="address of the proxy (repeat); default loopback"
    )
    parser.add_argument("--name", action="append", default=[], help="host name under which browsers ask (repeat)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        from spanledger_exporter.console.app import make_app  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"expected the console's packages, got {error}: pip install 'spanledger[console]'"
        ) from error
    options = ConsoleOptions(
        host=arguments.host,
        port=arguments.port,
        operator=Person(login_name()),
        people=read_people(arguments.people) if arguments.people else {},
        user_header=arguments.user_header,
        tenant_header=arguments.tenant_header,
        proxy_addresses=tuple(arguments.proxy or LOOPBACK),
        names=tuple(name.lower() for name in arguments.name),
    )
    settings = load_settings()
    app = make_app(settings, options)
    people = options.people.values()
    if not all(person.tenant for person in people):
        for name in sorted(person.name for person in people if person.tenant == settings.tenant):
            say(
                f"{name} sees tenant {settings.tenant} only, and under it this console records what people "
                "see who see every tenant: set SPANLEDGER_TENANT to another name, or the access log shows it to them"
            )
    # proxy_headers would let any client claim another address, and with it be the proxy.
    server = uvicorn.Server(uvicorn.Config(app, proxy_headers=False, server_header=False, log_level="warning"))
    with _listening(options.host, options.port) as door:
        host = f"[{options.host}]" if ":" in options.host else options.host
        say(f"console on http://{host}:{door.getsockname()[1]} (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[door])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SpanledgerError(
            f"expected to listen on {host}:{port} for the console, got: {error.strerror}: is another console running?"
        ) from error
