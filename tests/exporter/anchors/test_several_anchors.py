"""Several anchors at once, and the witness as an auditor runs it: another process, reached over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from moto_server import running_moto
from sealing import open_engine
from spanledger_exporter.anchors.anchor import Archive
from spanledger_exporter.anchors.configured import open_anchors, weakness
from spanledger_exporter.anchors.s3 import S3Anchor
from spanledger_exporter.config import load_settings
from spanledger_exporter.ledger.checkpoint import open_checkpoint
from spanledger_exporter.ledger.note import parse_vkey


@contextmanager
def running_witness(directory: Path, log_vkey: str) -> Generator[tuple[str, str]]:
    """Run `spanledger witness` on a free port; yield its vkey and its URL."""
    arguments = ["witness", "--name", "audit.example/w1", "--listen", "127.0.0.1:0", "--log", log_vkey]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("spanledger")), *arguments, "--directory", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        vkey = process.stdout.readline().strip()
        url = process.stderr.readline().split()[-1]
        yield vkey, url
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_checkpoint_goes_to_directory_bucket_and_witness_in_one_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps what it is for: checkpoints, the chain registry, a cosignature that completes the note."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with open_engine(tmp_path / "engine") as make, running_moto() as moto:
        bench = make()
        bench.ledger.open_chain()
        bench.ship()
        key = bench.keys.root.current.key
        with running_witness(tmp_path / "witness", key.vkey) as (witness_vkey, url):
            configured = f"directory,s3://ledger/audit?endpoint={moto}&region=us-east-1,witness:{witness_vkey}@{url}"
            anchors = open_anchors(replace(bench.settings, anchors=configured))
            s3 = next(anchor for anchor in anchors if isinstance(anchor, S3Anchor))
            s3._client.create_bucket(Bucket="ledger", ObjectLockEnabledForBucket=True)
            report = bench.seal(anchors=anchors)
            assert [p.status for p in report.publications] == ["anchored"] * 3
            bench.ledger.open_chain()
            bench.ship()
            report = bench.seal(anchors=anchors)
        assert [p.status for p in report.publications] == ["anchored"] * 3
        archives = [anchor for anchor in anchors if isinstance(anchor, Archive)]
        assert [archive.newest() for archive in archives] == [report.note] * 2
        opened = {row.chain_id for row in bench.ledger.rows}
        assert [set(archive.chains()) for archive in archives] == [opened] * 2
        where = f"kind = 'witness' AND size = {report.size}"
        ((cosignature,),) = bench.store.query(f"SELECT receipt FROM anchors WHERE {where}")
        both = open_checkpoint(report.note + cosignature, [key], witnesses=[parse_vkey(witness_vkey)])
        assert len(both.witnesses) == 1


def test_anchors_inside_the_data_directory_alone_are_called_weak(tmp_path: Path) -> None:
    """One outside is enough to be silent; none at all is said too."""
    settings = load_settings({"SPANLEDGER_DIR": str(tmp_path / "data")})
    for anchors, warning in (
        ("directory", "falls with it"),
        ("", "no anchor is configured"),
        (f"directory:{tmp_path / 'elsewhere'}", ""),
        ("directory,rfc3161:https://tsa.example/tsr", "nobody checks who stamps for rfc3161 https://tsa.example/tsr"),
        (f"directory,directory:{tmp_path / 'elsewhere'}", ""),
    ):
        configured = replace(settings, anchors=anchors)
        text = weakness(open_anchors(configured), configured)
        assert warning in text
        assert bool(text) == bool(warning)
