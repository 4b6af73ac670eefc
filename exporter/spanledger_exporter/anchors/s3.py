"""S3 Object Lock in compliance mode: an anchor that not even the account's root user can rewrite before its time.

    s3://bucket/prefix/checkpoints/00000000000000001208     the signed note
    s3://bucket/prefix/chains/<chain hex>.json              {"chain","row_hash","time_ns"}

Rules
- Every object is put with create-if-absent (`If-None-Match: *`), a SHA-256 checksum and its own COMPLIANCE retention.
  The bucket must have Object Lock; without it S3 refuses the put, and that is reported.
- Object Lock protects *versions*. Whoever may delete can still put a delete marker in front of one, after which the
  name looks free. So reading goes by versions: the oldest version of a name is the one that counts, and a delete marker
  is a conflict, not an absence.
- What the tests prove is our half, against moto: names, create-if-absent, retention on every object, markers seen.
  moto does not prove write-once: it lets a COMPLIANCE retention be shortened, and it does not race. AWS does both.
- Credentials, region and endpoint are boto3's ambient ones; `endpoint=` names an S3-compatible store.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from spanledger_exporter.anchors.anchor import (
    TIMEOUT_S,
    AnchorConflictError,
    AnchorError,
    Submission,
    checkpoint_name,
    claim_of,
)
from spanledger_exporter.errors import ConfigurationError, ProofError
from spanledger_exporter.ledger.chain_registry import ChainOpening, format_opening, parse_opening_or_none
from spanledger_exporter.ledger.checkpoint import MAX_SIZE, claimed_checkpoint
from spanledger_exporter.ledger.note import MAX_NOTE_BYTES

RETENTION_DAYS = 3650
"""Ten years: longer than any retention rule that we know of asks of such logs."""


class S3Anchor:
    """An anchor and archive in a bucket with Object Lock."""

    kind = "s3"

    def __init__(self, client: Any, *, bucket: str, prefix: str, retention_days: int = RETENTION_DAYS) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._retention_days = retention_days
        self._newest_seen = ""
        self.target = f"s3://{bucket}/{self._prefix}".rstrip("/")

    def publish(self, submission: Submission) -> str:
        """Put the note under its size; the receipt is the version id."""
        name = f"checkpoints/{checkpoint_name(submission.size)}"
        return self._create(name, submission.note.encode())

    def newest(self) -> str | None:
        """Return the note with the largest size, whatever was put in front of it since."""
        with self._translated("list its checkpoints"):
            key = self._newest_key()
            if key is None:
                return None
            note = self._oldest_version(key).decode("utf-8", "replace")  # other bytes are no outage: they do not hold
            self._expect_size(key, note)
            return note

    def register_chain(self, opening: ChainOpening) -> None:
        """Put a chain into the registry."""
        self._create(f"chains/{opening.chain.hex()}.json", format_opening(opening))

    def chains(self) -> Mapping[bytes, ChainOpening | None]:
        """Return the registry."""
        with self._translated("list its chains"):
            keys = {key for key, _ in self._versions("chains/")}
            return {_chain_of(key): parse_opening_or_none(self._oldest_version(key)) for key in sorted(keys)}

    def _create(self, name: str, data: bytes) -> str:
        key = self._prefix + name
        until = datetime.now(UTC) + timedelta(days=self._retention_days)
        with self._translated(f"take {name}"):
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256",
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=until,
                )
            except Exception as error:
                if _code(error) not in ("PreconditionFailed", "412", "ConditionalRequestConflict"):
                    raise
            else:
                self._expect_first(key, data)
                return str(answer.get("VersionId", ""))
            self._expect_first(key, data)
            return "already there"

    def _expect_first(self, key: str, data: bytes) -> None:
        """Check that the oldest version under `key` says what we say: a marker may have hidden another history."""
        if claim_of(self._oldest_version(key)) != claim_of(data):
            raise AnchorConflictError(
                f"expected s3://{self._bucket}/{key} to hold what the store says, got another history: "
                "keep both, stop sealing, and find out who wrote the other"
            )

    def _expect_size(self, key: str, note: str) -> None:
        """Check that a checkpoint lies under its own size: an older one in its place hides what is missing."""
        with suppress(ProofError):  # what is no note at all is told by whoever opens it
            size = claimed_checkpoint(note).size
            if key.rpartition("/")[2] != checkpoint_name(size):
                raise AnchorConflictError(f"expected a checkpoint of that size in {key}, got one of size {size}")

    def _oldest_version(self, key: str) -> bytes:
        versions = [version for name, version in self._versions(key.removeprefix(self._prefix)) if name == key]
        oldest = versions[-1]  # S3 lists the versions of a key newest first; their times have seconds only
        answer = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=oldest["VersionId"])
        data = bytes(answer["Body"].read(MAX_NOTE_BYTES + 1))
        if len(data) > MAX_NOTE_BYTES:
            raise AnchorConflictError(
                f"expected at most {MAX_NOTE_BYTES} bytes in {key}, got more: no anchor writes that"
            )
        return data

    def _newest_key(self) -> str | None:
        """Return the last checkpoint's key: from the last one seen, or by halving the space of sizes."""
        low = self._newest_seen
        if not low:
            first, last = 0, MAX_SIZE
            while first < last:  # the invariant: nothing is listed after `last`
                middle = (first + last) // 2
                if self._has_after(checkpoint_name(middle)):
                    first = middle + 1
                else:
                    last = middle
            low = checkpoint_name(max(first - 1, 0))
        keys = [key for key, _ in self._versions("checkpoints/", after=f"checkpoints/{low}")]
        seen = max(keys, default="")
        exact = self._prefix + f"checkpoints/{low}"
        if not seen and any(key == exact for key, _ in self._versions(f"checkpoints/{low}")):
            seen = exact
        self._newest_seen = seen.rpartition("/")[2]
        return seen or None

    def _has_after(self, name: str) -> bool:
        return next(iter(self._versions("checkpoints/", after=f"checkpoints/{name}", limit=1)), None) is not None

    def _versions(self, lead: str, *, after: str = "", limit: int = 1000) -> Generator[tuple[str, dict[str, Any]]]:
        """Yield key and version of everything under `lead`; raise AnchorConflictError at a delete marker."""
        options: dict[str, Any] = {"KeyMarker": self._prefix + after} if after else {}
        while True:
            answer = self._client.list_object_versions(
                Bucket=self._bucket, Prefix=self._prefix + lead, MaxKeys=limit, **options
            )
            for marker in answer.get("DeleteMarkers", []):
                raise AnchorConflictError(
                    f"expected no delete marker in {self.target}, got one on {marker['Key']}: somebody tried to remove "
                    "it; the version behind it is still there, restore it by deleting the marker, and find out who"
                )
            for version in answer.get("Versions", []):
                yield version["Key"], version
            if not answer.get("IsTruncated") or limit == 1:
                return
            options = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer.get("NextVersionIdMarker", "")}

    @contextmanager
    def _translated(self, what: str) -> Generator[None]:
        try:
            yield
        except AnchorError:
            raise
        except Exception as error:
            raise AnchorError(f"expected {self.target} to {what}, got {type(error).__name__}: {error}") from error


def open_s3(place: str, *, options: Mapping[str, str]) -> S3Anchor:
    """Return the anchor at `bucket/prefix`; `options` are `region`, `endpoint` and `days`."""
    try:
        import boto3  # noqa: PLC0415 - an extra, loaded when asked for
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError("expected boto3 for an s3 anchor, got none: install spanledger[s3]") from error
    bucket, _, prefix = place.partition("/")
    days = options.get("days", str(RETENTION_DAYS))
    if not bucket or not days.isdecimal() or set(options) - {"region", "endpoint", "days"}:
        raise ConfigurationError(
            f"expected s3://bucket/prefix with region, endpoint or days after '?', got {place!r} {dict(options)}"
        )
    timeouts = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 2})
    client = boto3.client(
        "s3", region_name=options.get("region"), endpoint_url=options.get("endpoint"), config=timeouts
    )
    return S3Anchor(client, bucket=bucket, prefix=prefix, retention_days=int(days))


def _code(error: Exception) -> str:
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _chain_of(key: str) -> bytes:
    try:
        return bytes.fromhex(key.rpartition("/")[2].removesuffix(".json"))
    except ValueError as error:
        raise AnchorConflictError(f"expected only chains in the registry, got {key}") from error
