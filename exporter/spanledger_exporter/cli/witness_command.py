"""`spanledger witness`: run a C2SP witness, on a machine that the log's operator does not control.

Exit status: 0 stopped · 78 wrong key or setting.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from spanledger_exporter.cli.numbers import HIGHEST_PORT
from spanledger_exporter.cli.talk import say
from spanledger_exporter.cli.termination import on_stop
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.keys.key_file import FileSigner, make_key, read_key_file, write_key_file
from spanledger_exporter.ledger.note import COSIGNATURE_V1, VerifierKey, parse_vkey
from spanledger_exporter.witness.server import serving
from spanledger_exporter.witness.witness import Witness

EPILOG = """example:
  spanledger witness --name audit.example/w1 --log "$(cat log.vkey)"
then, where the log is:
  SPANLEDGER_ANCHORS='directory,witness:<vkey>@http://127.0.0.1:8095' spanledger seal"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--listen", default="127.0.0.1:8095", metavar="HOST:PORT", help="default: 127.0.0.1:8095")
    parser.add_argument("--directory", type=Path, default=Path("witness"), help="key and state (default: ./witness)")
    parser.add_argument("--name", help="the witness's name, when its key is made, such as audit.example/w1")
    parser.add_argument("--log", action="append", required=True, metavar="VKEY", help="a log's vkey (repeat)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise ConfigurationError(f"expected --listen HOST:PORT, got {arguments.listen!r}")
    signer = _signer(arguments.directory / "witness.key", arguments.name)
    logs = [_log_key(text) for text in arguments.log]
    witness = Witness(signer, logs=logs, directory=arguments.directory, clock_s=lambda: int(time.time()))
    stop = threading.Event()
    on_stop(stop.set)
    try:
        with serving(witness, host=host, port=int(port)) as url:
            print(f"{signer.verifier_key.vkey}", flush=True)  # noqa: T201
            say(f"witness {signer.verifier_key.name} at {url}")
            _tell_memory(witness)
            stop.wait()
    except OSError as error:
        raise ConfigurationError(f"expected to listen on {arguments.listen}, got: {error}") from error
    return 0


def _tell_memory(witness: Witness) -> None:
    try:
        remembered = witness.remembered()
    except ProofError as error:
        say(f"its state is damaged, restore it from a backup: {error}")
        return
    for origin, size in remembered.items():
        told = f"up to size {size}" if size else "nothing: it believes the first checkpoint that it gets"
        say(f"remembers of {origin} {told}")


def _signer(path: Path, name: str | None) -> FileSigner:
    if not path.exists():
        if not name:
            raise ConfigurationError(f"expected --name for the new witness key {path}, got none")
        write_key_file(path, make_key(name, algorithm=COSIGNATURE_V1))
    signer = read_key_file(path)
    if signer.verifier_key.algorithm != COSIGNATURE_V1:
        raise ConfigurationError(f"expected a witness key (type 0x04) in {path}, got another type")
    return signer


def _log_key(text: str) -> VerifierKey:
    try:
        return parse_vkey(text)
    except ProofError as error:
        raise ConfigurationError(f"expected a log's vkey after --log, got: {error}") from error
