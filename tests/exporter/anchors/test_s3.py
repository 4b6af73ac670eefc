"""The S3 anchor against moto's server, in a process of its own.

What this proves: names, create-if-absent, a COMPLIANCE retention and a checksum on every object, and that nothing put
in front of a version deceives us. What it does not prove: moto lets a COMPLIANCE retention be shortened, checks no
permission, and does not race two writers; that these hold is AWS's word.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from moto_server import running_moto
from spanledger_exporter.anchors.anchor import AnchorConflictError, AnchorError, Archive, Submission
from spanledger_exporter.anchors.s3 import S3Anchor, open_s3
from spanledger_exporter.errors import ConfigurationError
from spanledger_exporter.ledger.chain_registry import ChainOpening

OPENING = ChainOpening(bytes(range(16)), b"\xaa" * 32, 1_795_000_000_000_000_000)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run moto's server and yield its URL."""
    with running_moto() as url:
        yield url


_numbers = itertools.count()


@pytest.fixture
def anchor(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Anchor:
    """Return an anchor on a new bucket with Object Lock."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"ledger-{next(_numbers)}"
    made = open_s3(f"{bucket}/audit", options={"endpoint": endpoint, "region": "us-east-1", "days": "30"})
    made._client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return made


def submission(size: int, *, root: str = "root") -> Submission:
    """Return a note that looks enough like one."""
    return Submission(size, f"log\n{size}\n{root}\n\n— log c2ln\n", lambda _: ())


def objects(anchor: S3Anchor) -> list[dict[str, Any]]:
    """Return every version in the bucket."""
    return list(anchor._client.list_object_versions(Bucket=anchor._bucket).get("Versions", []))


def test_a_checkpoint_is_put_once_with_a_compliance_retention(anchor: S3Anchor) -> None:
    """The second time changes nothing."""
    first = anchor.publish(submission(12))
    second = anchor.publish(submission(12))
    (held,) = objects(anchor)
    assert (held["Key"], held["VersionId"]) == ("audit/checkpoints/00000000000000000012", first)
    assert second == "already there"
    head = anchor._client.head_object(Bucket=anchor._bucket, Key=held["Key"])
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert head["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)


def test_another_checkpoint_of_the_same_size_is_a_conflict(anchor: S3Anchor) -> None:
    """Two histories."""
    anchor.publish(submission(12))
    with pytest.raises(AnchorConflictError, match="another history"):
        anchor.publish(submission(12, root="other"))


def test_the_newest_checkpoint_is_found_among_many_and_again_when_more_came(anchor: S3Anchor) -> None:
    """By halving the space of sizes first, from the last one seen later."""
    assert anchor.newest() is None
    for size in (1, 7, 4096, 1_000_000):
        anchor.publish(submission(size))
    assert anchor.newest() == submission(1_000_000).note
    assert anchor.newest() == submission(1_000_000).note
    anchor.publish(submission(1_000_001))
    assert anchor.newest() == submission(1_000_001).note


def test_the_chain_registry_round_trips(anchor: S3Anchor) -> None:
    """Once per chain; another row 0 under the same name is a conflict."""
    assert isinstance(anchor, Archive)
    anchor.register_chain(OPENING)
    anchor.register_chain(OPENING)
    assert anchor.chains() == {OPENING.chain: OPENING}
    with pytest.raises(AnchorConflictError):
        anchor.register_chain(ChainOpening(OPENING.chain, b"\xbb" * 32, OPENING.time_ns))


def test_a_deleted_checkpoint_is_a_conflict_not_an_absence(anchor: S3Anchor) -> None:
    """Object Lock keeps the version; the delete marker in front of it is what gives the attempt away."""
    anchor.publish(submission(12))
    anchor._client.delete_object(Bucket=anchor._bucket, Key="audit/checkpoints/00000000000000000012")
    with pytest.raises(AnchorConflictError, match="delete marker"):
        anchor.newest()
    with pytest.raises(AnchorConflictError, match="delete marker"):
        anchor.publish(submission(12, root="other"))


def test_a_second_version_in_front_of_the_first_deceives_nobody(anchor: S3Anchor) -> None:
    """Whoever puts without If-None-Match adds a version; the oldest one counts."""
    anchor.publish(submission(12))
    anchor._client.put_object(
        Bucket=anchor._bucket, Key="audit/checkpoints/00000000000000000012", Body=submission(12, root="b").note
    )
    assert anchor.newest() == submission(12).note


@pytest.mark.parametrize("noise", [b"\xff\xfe", b"noise"])
def test_noise_in_a_newer_name_is_returned_and_does_not_hold(anchor: S3Anchor, noise: bytes) -> None:
    """An outage would let the sealer go on: what is no note is for whoever opens it to refuse."""
    anchor.publish(submission(12))
    anchor._client.put_object(Bucket=anchor._bucket, Key=f"audit/checkpoints/{99:020}", Body=noise)
    assert anchor.newest() == noise.decode(errors="replace")


def test_what_lies_under_another_name_or_is_larger_than_a_note_is_a_conflict(anchor: S3Anchor) -> None:
    """An older checkpoint under a newer name hides what is missing; 10 MB are not read into memory."""
    anchor.publish(submission(12))
    note = f"log\n12\n{'A' * 43}=\n\n— log c2lnbmF0dXJl\n"
    anchor._client.put_object(Bucket=anchor._bucket, Key=f"audit/checkpoints/{98:020}", Body=note)
    with pytest.raises(AnchorConflictError, match="got one of size 12"):
        anchor.newest()
    anchor._client.put_object(Bucket=anchor._bucket, Key=f"audit/checkpoints/{99:020}", Body=b"\0" * 10**7)
    with pytest.raises(AnchorConflictError, match="got more"):
        anchor.newest()


def test_a_bucket_without_object_lock_is_reported(anchor: S3Anchor) -> None:
    """A retention that nobody enforces would be a promise we cannot keep."""
    anchor._client.create_bucket(Bucket="plain")
    plain = S3Anchor(anchor._client, bucket="plain", prefix="")
    with pytest.raises(AnchorError, match="InvalidRequest"):
        plain.publish(submission(1))


def test_an_unreachable_endpoint_is_an_anchor_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealer reports it and tries again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    away = open_s3("bucket", options={"endpoint": "http://127.0.0.1:9", "region": "us-east-1"})
    with pytest.raises(AnchorError, match="EndpointConnectionError"):
        away.publish(submission(1))
    with pytest.raises(AnchorError, match="EndpointConnectionError"):
        away.newest()


@pytest.mark.parametrize(("place", "options"), [("", {}), ("b", {"days": "ten"}), ("b", {"colour": "red"})])
def test_a_wrong_setting_is_one_clear_line(place: str, options: dict[str, str]) -> None:
    """It names what is accepted."""
    with pytest.raises(ConfigurationError, match="expected s3://bucket/prefix"):
        open_s3(place, options=options)
