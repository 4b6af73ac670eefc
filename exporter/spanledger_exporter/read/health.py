"""What works, what does not, and what to do: the checks of `spanledger doctor`, also shown by the console.

Rules
- Looking changes nothing: no table is made, nothing is shipped, no access row is written, because no event is shown.
- A check that cannot be made says so and does not hide the others.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from spanledger_exporter.anchors.anchor import Anchor
from spanledger_exporter.anchors.configured import open_anchors, weakness
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.config import Settings
from spanledger_exporter.errors import ConfigurationError, SpanledgerError
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.ledger.checkpoint import claimed_checkpoint
from spanledger_exporter.ledger.row import Row
from spanledger_exporter.read.figures import format_age
from spanledger_exporter.ship.cursor import load_cursor
from spanledger_exporter.spool.quota import directory_bytes
from spanledger_exporter.spool.reader import ChainSpool, Damage, chains
from spanledger_exporter.store.connection import ENGINE_REMEDY, NO_ENGINE, Store, has_engine, open_store

Status = Literal["ok", "attention", "problem"]

MAX_COUNTED_ROWS: Final = 100_000
LATE_SHIPPING_S: Final = 60.0
LOSSES_DAYS: Final = 7
_AT_QUOTA: Final = {"block": "calls wait", "closed": "calls are refused", "loss": "rows are lost"}
LATE_SEAL_S: Final = 300.0
STORE_WAIT_S: Final = 2.0

_NANOSECONDS: Final = "toUnixTimestamp64Nano(toDateTime64(max(created_at), 9))"
_LIBRARIES: Final = {"spanledger_openai": "openai", "spanledger_anthropic": "anthropic"}
_PACKAGES: Final = ("opentelemetry-sdk", "clickhouse-connect", "chdb", "openai", "anthropic")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_record(self) -> dict[str, Any]:
        """Return the check as a line of a listing."""
        return {"check": self.name, "status": self.status, "found": self.found, "advice": self.advice, **self.figures}


def examine(settings: Settings, *, now_ns: Callable[[], int] = time.time_ns) -> list[Check]:
    """Return every check, in the order in which a row travels."""
    found = [_versions(), _configuration(settings), _instrumentors()]
    found += _guarded("directory", lambda: [_directory(settings)])
    found += _guarded("spool", lambda: [_spool(settings, now_ns())])
    found += _guarded("keys", lambda: [_keys(settings)])
    return found + _guarded("store", lambda: _store_checks(settings, now_ns()))


def worst(checks: Iterable[Check]) -> Status:
    """Return the worst status among the checks."""
    found: set[Status] = {check.status for check in checks}
    return "problem" if "problem" in found else "attention" if "attention" in found else "ok"


def _guarded(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except (SpanledgerError, OSError) as error:
        return [Check(name, "problem", str(error), "see the message; the other checks go on")]


def _versions() -> Check:
    parts = [f"spanledger {version('spanledger')}", f"Python {sys.version.split()[0]}"]
    for package in _PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return Check("versions", "ok", ", ".join(parts))


def _configuration(settings: Settings) -> Check:
    said = {
        "SPANLEDGER_DIR": settings.directory,
        "SPANLEDGER_STORE": _without_password(settings.store_url),
        "SPANLEDGER_DURABILITY": settings.durability,
        "SPANLEDGER_ON_FAILURE": settings.on_failure,
        "SPANLEDGER_CONTENT": settings.content,
        "SPANLEDGER_TENANT": settings.tenant,
        "SPANLEDGER_ANCHORS": settings.anchors,
    }
    return Check("configuration", "ok", ", ".join(f"{name}={value}" for name, value in said.items()))


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{credentials.split(':')[0]}:***{at}{host}" if at else url


def _instrumentors() -> Check:
    points = list(entry_points(group="opentelemetry_instrumentor"))
    ours = [point.name for point in points if point.name in _LIBRARIES]
    present = [name for name in ours if find_spec(_LIBRARIES[name]) is not None]
    libraries = set(_LIBRARIES.values())
    others = sorted({f"{p.name} ({p.dist.name})" for p in points if p.name in libraries and p.dist is not None})
    found = f"{len(present)} of {len(ours)} have their library installed: {', '.join(present) or 'none'}"
    if others:
        names = ",".join(sorted({point.split(" ")[0] for point in others}))
        return Check(
            "instrumentors",
            "attention",
            f"{found}; also installed: {', '.join(others)}",
            f"one call must not be counted twice: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={names}",
        )
    return Check("instrumentors", "ok", found)


def _directory(settings: Settings) -> Check:
    place = settings.directory
    if not place.exists():
        return _absent_directory(place)
    if not place.is_dir():
        advice = "move it away, or set SPANLEDGER_DIR to another place: nothing is recorded"
        return Check("directory", "problem", f"{place} is not a directory", advice)
    if not os.access(place, os.W_OK | os.X_OK):
        return Check(
            "directory", "problem", f"{place} cannot be written", "give this user write access: nothing is recorded"
        )
    usage = os.statvfs(place)
    free = usage.f_bavail * usage.f_frsize
    found, figures = f"{place}, {free / 1e9:,.1f} GB free", {"free_bytes": free}
    if free <= 1 << 30:
        return Check("directory", "problem", found, "make room: recording stops when the disk is full", figures)
    store = settings.store_directory
    if settings.is_embedded and store.is_dir() and store.stat().st_mode & 0o007:
        found += f"; every user of this machine may read {store}"
        return Check("directory", "attention", found, f"chmod o= {store}", figures)
    return Check("directory", "ok", found, figures=figures)


def _absent_directory(place: Path) -> Check:
    parent = next(one for one in place.parents if one.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        advice = f"give this user write access to {parent}, or set SPANLEDGER_DIR to another place: nothing is recorded"
        return Check("directory", "problem", f"{place} does not exist and cannot be made", advice)
    return Check("directory", "attention", f"{place} does not exist yet", "it is made by the first recorded call")


@dataclass(slots=True)
class _Depth:
    """What waits in a spool."""

    rows: int = 0
    size: int = 0
    oldest_ns: int | None = None
    live: int = 0
    damages: int = 0
    withheld: int = 0


def _spool(settings: Settings, now_ns: int) -> Check:
    present = chains(settings.spool_directory)
    depth = _Depth()
    for chain in present:
        _measure(chain, depth)
    age_s = 0.0 if depth.oldest_ns is None else max(0.0, (now_ns - depth.oldest_ns) / 1e9)
    counted = f"{depth.rows:,}{'+' if depth.rows >= MAX_COUNTED_ROWS else ''} rows"
    found = f"{counted} not shipped ({depth.size / 1e6:,.1f} MB), {len(present)} chains, {depth.live} being written"
    if depth.oldest_ns is not None:
        found += f", the oldest waits {format_age(age_s)}"
    figures = {"unshipped_rows": depth.rows, "unshipped_bytes": depth.size, "oldest_unshipped_s": round(age_s, 3)}
    if settings.spool_quota_bytes and (used := directory_bytes(settings.spool_directory)) >= settings.spool_quota_bytes:
        found += f"; {used:,} bytes of at most {settings.spool_quota_bytes:,}: {_AT_QUOTA[settings.spool_quota_policy]}"
        advice = "keep `spanledger ship --follow` running: a file goes when its rows are stored and sealed"
        return Check("spool", "problem", found, advice, figures)
    if depth.damages:
        return Check(
            "spool", "problem", f"{found}, {depth.damages} damaged places", "ship: they are reported as loss", figures
        )
    if depth.withheld:
        found += f"; {depth.withheld} chains of another user, which this one may not read"
        return Check("spool", "attention", found, "run `spanledger ship` and `doctor` as that user too", figures)
    late = depth.oldest_ns is not None and age_s > LATE_SHIPPING_S
    advice = "run `spanledger ship`, or keep `spanledger collector` running" if late else ""
    return Check("spool", "attention" if late else "ok", found, advice, figures)


def _measure(chain: ChainSpool, depth: _Depth) -> None:
    if chain.is_withheld:
        depth.withheld += 1
        return
    depth.live += chain.is_live
    try:
        cursor = load_cursor(chain.directory).position
        depth.size += chain.bytes_behind(cursor)
        for frame in chain.read(cursor):
            if isinstance(frame.record, Row):
                depth.rows += 1
                depth.oldest_ns = min(depth.oldest_ns or frame.record.time_ns, frame.record.time_ns)
            elif isinstance(frame.record, Damage) and frame.record.length:  # an empty file holds nothing to lose
                depth.damages += 1
            if depth.rows >= MAX_COUNTED_ROWS:
                return
    except FileNotFoundError:
        return  # cleaned up while we looked


def _keys(settings: Settings) -> Check:
    ring = KeyRing(settings)
    if not ring.exists:
        return Check("keys", "ok", "there are no signing keys yet", "`spanledger seal` makes them")
    key = ring.root.current.key  # a damaged trust root is told by `_guarded`
    found = f"{key.name} signs with {key.key_id.hex()}, trust root version {ring.root.version}"
    if settings.signer:
        return Check("keys", "ok", f"{found}, in {settings.signer.partition(':')[0]} (not asked)")
    try:
        ring.signer()
    except ConfigurationError as error:
        is_here = (ring.directory / f"{key.key_id.hex()}.key").exists()
        return Check("keys", "problem" if is_here else "attention", str(error), "until then nothing is sealed here")
    if ring.pending_key() is not None:
        return Check("keys", "attention", f"{found}; a rotation is not finished", "run `spanledger keys rotate` again")
    return Check("keys", "ok", found)


def _store_checks(settings: Settings, now_ns: int) -> list[Check]:
    if not settings.has_store:
        return [_absent_store(settings)]
    with open_store(settings, role="reader", wait_s=STORE_WAIT_S) as store:
        tables = {
            row[0]
            for row in store.query("SELECT name FROM system.tables WHERE database = {d:String}", {"d": store.database})
        }
        if "rows" not in tables:
            return [Check("store", "attention", f"{store.name} has no tables yet", "run `spanledger init`")]
        return [
            *_stored(store, now_ns),
            *_lost(store, now_ns),
            *_sealed(store, now_ns),
            *_guarded("anchor", lambda: [_anchored(store, settings, now_ns)]),
        ]


def _absent_store(settings: Settings) -> Check:
    anchored = _anchored_locally(open_anchors(settings))
    if not anchored and not has_engine():
        found = f"{NO_ENGINE}, got none: calls are recorded here, and cannot be shipped, sealed or read"
        return Check("store", "problem", found, ENGINE_REMEDY)
    if not anchored:
        advice = "run `spanledger ship` once something was recorded"
        return Check("store", "attention", "there is no store yet", advice)
    found = f"there is no store, and an anchored checkpoint of size {anchored} says that there was one"
    return Check("store", "problem", found, "restore it; `spanledger verify` says what is missing until then")


def _anchored_locally(anchors: Iterable[Anchor]) -> int:
    """Return the size of the newest checkpoint in those anchors that are directories; 0 when there is none."""
    directories = [anchor for anchor in anchors if isinstance(anchor, DirectoryAnchor)]
    notes = [note for anchor in directories if (note := anchor.newest()) is not None]
    return max((claimed_checkpoint(note).size for note in notes), default=0)


def _stored(store: Store, now_ns: int) -> Iterator[Check]:
    sql = "SELECT count(), toUnixTimestamp64Nano(toDateTime64(max(stored_at), 9)), max(time_ns), version() FROM "
    rows, stored_ns, written_ns, engine = store.query(f"{sql}{store.database}.rows")[0]
    lag_s = max(0.0, (int(stored_ns) - int(written_ns)) / 1e9) if rows else 0.0
    newest = f", the newest stored {format_age((now_ns - int(stored_ns)) / 1e9)} ago" if rows else ""
    yield Check(
        "store",
        "ok" if rows else "attention",
        f"{store.name}, ClickHouse {engine}, {rows:,} rows{newest}",
        "" if rows else "nothing was shipped yet: run `spanledger ship`",
        {"rows": rows, "store_lag_s": round(lag_s, 3)},
    )


def _lost(store: Store, now_ns: int) -> Iterator[Check]:
    """Say what was not recorded lately; nothing where nothing was lost."""
    since_ns = max(0, now_ns - LOSSES_DAYS * 86_400 * 10**9)
    rows, events, newest_ns = store.query(
        "SELECT count(), sum(JSONExtractUInt(env, 'loss', 'events')), max(time_ns) "
        f"FROM {store.database}.rows WHERE event_type = 'loss' AND time_ns >= {{since:UInt64}}",
        {"since": since_ns},
    )[0]
    if rows:
        age = format_age((now_ns - int(newest_ns)) / 1e9)
        found = f"{events:,} rows were not recorded in the last {LOSSES_DAYS} days, the newest report is {age} old"
        advice = "`spanledger search --event-type loss --json` says when and why"
        yield Check("losses", "attention", found, advice, {"lost_rows": int(events)})


def _sealed(store: Store, now_ns: int) -> Iterator[Check]:
    found = store.query(f"SELECT max(size), {_NANOSECONDS}, count() FROM {store.database}.checkpoints")
    size, created_ns, count = found[0]
    unsealed = int(store.query(f"SELECT sum(unsealed_rows) FROM {store.database}.integrity")[0][0])
    if not count:
        yield Check("seal", "attention", "no checkpoint yet", "run `spanledger seal`", {"unsealed_rows": unsealed})
        return
    age_s = max(0.0, (now_ns - int(created_ns)) / 1e9)
    late = unsealed > 0 and age_s > LATE_SEAL_S
    yield Check(
        "seal",
        "attention" if late else "ok",
        f"newest checkpoint of size {size}, {format_age(age_s)} ago, {unsealed:,} rows not sealed",
        "run `spanledger seal`, or keep it running" if late else "",
        {"checkpoint_age_s": round(age_s, 3), "unsealed_rows": unsealed},
    )


def _anchored(store: Store, settings: Settings, now_ns: int) -> Check:
    anchors = open_anchors(settings)
    warning = weakness(anchors, settings)
    rows: Sequence[tuple[Any, ...]] = store.query(
        f"SELECT kind, target, max(size), {_NANOSECONDS} FROM {store.database}.anchors "
        "GROUP BY kind, target ORDER BY kind, target"
    )
    if not rows:
        return Check("anchor", "attention", "nothing is anchored yet", "run `spanledger seal`")
    said = [
        f"{kind} {target}: size {size}, {format_age((now_ns - int(at)) / 1e9)} ago" for kind, target, size, at in rows
    ]
    newest_s = min((now_ns - int(row[3])) / 1e9 for row in rows)
    known = max(int(row[2]) for row in rows)
    if (anchored := _anchored_locally(anchors)) > known:
        found = f"a directory holds a checkpoint of size {anchored}, the store knows of {known}: it is an older copy"
        return Check("anchor", "problem", found, "restore the newer one; `spanledger verify` says what is missing")
    late = _behind(store, anchors, {(kind, target): int(size) for kind, target, size, _ in rows})
    advice = "; ".join(text for text in (late, warning) if text)
    return Check(
        "anchor", "attention" if advice else "ok", "; ".join(said), advice, {"anchor_age_s": round(newest_s, 3)}
    )


def _behind(store: Store, anchors: Iterable[Anchor], receipts: Mapping[tuple[str, str], int]) -> str:
    """Name the configured anchors that lack the newest checkpoint, whatever others have it."""
    newest = int(store.query(f"SELECT max(size) FROM {store.database}.checkpoints")[0][0])
    sizes = {f"{a.kind} {a.target}": receipts.get((a.kind, a.target), 0) for a in anchors}
    late = [f"{name} has {f'size {size}' if size else 'nothing'}" for name, size in sizes.items() if size < newest]
    return f"behind size {newest}: {', '.join(late)}; `spanledger seal` tries again and says why" if late else ""
