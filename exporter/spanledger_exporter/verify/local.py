"""What this machine knows besides the store: keys, the anchor directory, the spool.

Reading only. Whatever is absent is reported by the step that needed it, never made up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ConfigurationError, ProofError, SpoolError, UsageError
from spanledger_exporter.keys.key_ring import KeyRing, open_key_ring
from spanledger_exporter.ledger.content import Content, content_ref
from spanledger_exporter.ledger.note import COSIGNATURE_V1, parse_vkey
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.ledger.trust_root import TrustRoot, verify_trust_roots
from spanledger_exporter.ship.cursor import load_cursor
from spanledger_exporter.spool.reader import ChainSpool, chains
from spanledger_exporter.verify.spooled import SpooledChain
from spanledger_exporter.verify.trust import KeyRange, Trust

_PIN = re.compile(r"[0-9a-fA-F]{64}")


def pin_of(text: str | None) -> str | None:
    """Return the SHA-256 to pin: `text` itself, or that of the trust root file it names. Raises ConfigurationError."""
    if text is None or _PIN.fullmatch(text):
        return text
    try:
        return verify_trust_roots([_read(Path(text))]).pin
    except ProofError as error:
        raise ConfigurationError(f"expected a trust root in {text}, got something else: {error}") from error


def check_keys(keys: Sequence[str]) -> None:
    """Raise UsageError for a key that is none: mistyped is not tampered with."""
    for key in keys:
        try:
            parse_vkey(key)
        except ProofError as error:
            raise UsageError(f"expected a key after --key as `keys show` prints it, got {key!r}: {error}") from error


def load_trust(settings: Settings, *, keys: Sequence[str] = (), trust_root: str | None = None) -> Trust:
    """Return the keys to believe: those given, a pinned trust root, or this machine's own key ring.

    `trust_root` is a file, or the SHA-256 of one version of the key ring's trust root. Raises ProofError when a key or
    the trust root does not hold, ConfigurationError when there is nothing to pin against.
    """
    if keys:
        parsed = [parse_vkey(key) for key in keys]
        log_keys = [KeyRange(key) for key in parsed if key.algorithm != COSIGNATURE_V1]
        return Trust(log_keys, [key for key in parsed if key.algorithm == COSIGNATURE_V1])
    if trust_root is not None and not _PIN.fullmatch(trust_root):
        return trust_of(verify_trust_roots([_read(Path(trust_root))]).root)
    ring = open_key_ring(settings, make=False) if settings.keys_directory.is_dir() else None
    if ring is None and trust_root is None:
        return Trust()
    if ring is None:
        raise ConfigurationError(f"expected a trust root in {settings.keys_directory}, got none: pass its file instead")
    return trust_of(verify_trust_roots(ring.trust_root_versions(), pin=trust_root).root)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"expected a trust root file or its SHA-256, got {path}: {error}") from error


def trust_of(root: TrustRoot) -> Trust:
    """Return what a verified trust root lets a verifier believe."""
    ranges = [KeyRange(key.key, key.from_size, key.until_size) for key in root.log_keys]
    return Trust(ranges, root.witnesses, root.origin)


def sealed_elsewhere(settings: Settings) -> Path | None:
    """Return the default anchor directory where it is no anchor: a server's ledger, of which no keys lie here."""
    is_elsewhere = not settings.is_embedded and not KeyRing(settings).exists
    return settings.anchors_directory if is_elsewhere else None


def read_spool(settings: Settings) -> Iterator[SpooledChain]:
    """Yield every chain in the spool."""
    for chain in chains(settings.spool_directory):
        yield read_chain(chain)


def read_chain(chain: ChainSpool) -> SpooledChain:
    """Return what the spool of one chain holds; rows are read once, when they are looked at, damage with them."""
    cursor = load_cursor(chain.directory)
    damages: list[str] = []
    contents: dict[bytes, bool] = {}

    def rows() -> Iterator[Row]:
        try:
            for frame in chain.read():
                if isinstance(frame.record, Row):
                    yield frame.record
                elif isinstance(frame.record, Content):
                    contents[frame.record.ref] = _holds(frame.record, before=contents.get(frame.record.ref))
                elif frame.position >= cursor.position:
                    damage = frame.record
                    damages.append(f"{damage.length} bytes in file {damage.position.file}: {damage.reason}")
        except FileNotFoundError:
            return  # cleaned up meanwhile: shipped and sealed
        except (OSError, SpoolError) as error:
            damages.append(str(error))

    return SpooledChain(chain.chain_id, rows(), cursor.newest_sent, contents, damages)


def _holds(content: Content, *, before: bool | None) -> bool:
    """Tell whether a spooled content hashes to its reference; encrypted and withheld bytes cannot be hashed here."""
    if before is False:
        return False
    if content.data is None or content.key_id:
        return True
    return content_ref(content.media, content.data) == content.ref and content.size == len(content.data)
