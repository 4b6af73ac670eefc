"""The growing end of one chain: hashes rows, appends them, knows its head.

`Chain.append` is the only place where a row comes into being. Its steps, and what is true if the process dies there:

1. settle          nothing new; what an earlier append left half-written is cut off (spool/writer.py)
2. time and hash   nothing new; `seq` and `prev_hash` come from the head, so a failed append is simply done again
3. write           torn bytes at most, and nobody was told; or the complete row, and its request never went out
4. head            the row exists; the head is one tuple, so an interrupt sees the old one or the new one

An asynchronous exception (Ctrl-C, a timeout thrown into the thread) between 3 and 4 would leave a row in the file that
the head does not know: the next row would take the same `seq`, which is equivocation. So the file's end and the head
are one tuple in the writer, and after any exception the file is cut back to the end that this tuple names.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from spanledger_exporter.ledger.content import Content
from spanledger_exporter.ledger.row import genesis_hash, row_hashes
from spanledger_exporter.spool.format import content_frame, row_frame
from spanledger_exporter.spool.writer import ROTATE_BYTES, SpoolWriter

MAX_KNOWN_CONTENTS = 16_384
"""How many references a chain remembers as already spooled; past that the oldest are spooled again, which is benign."""


Envelope = bytes | Callable[[bytes, int], bytes]
"""An envelope's canonical bytes, or what makes them from chain id and `seq` where they depend on their place."""


class RowId(NamedTuple):
    """Where a row stands: 16-byte chain, number in it, 32-byte hash."""

    chain_id: bytes
    seq: int
    row_hash: bytes


DEFERRED = RowId(b"", -1, b"")
"""Stands for a row recorded from inside an append of the same thread (a finalizer, a signal handler): it follows."""


class Head(NamedTuple):
    """The newest row of a chain. `time_ns` is what the next row may not fall below."""

    row: RowId
    time_ns: int


_as_tuple: Any = tuple.__new__  # once per row: half the time of a class's own constructor


class Chain:
    """One chain of this writer. Not thread-safe: the recorder's lock orders the calls."""

    def __init__(
        self, spool_directory: Path, chain_id: bytes, *, clock: Callable[[], int], rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        self.chain_id = chain_id
        before_row_0 = Head(RowId(chain_id, -1, genesis_hash(chain_id)), 0)
        self.writer = SpoolWriter(spool_directory, chain_id, mark=before_row_0, rotate_bytes=rotate_bytes)
        self._clock = clock
        self._known: OrderedDict[bytes, None] = OrderedDict()  # a plain dict gives its oldest entry slowly

    @property
    def head(self) -> Head:
        """The newest row; it lives in the writer, because both advance in one assignment."""
        head: Head = self.writer.end.mark
        return head

    def append(self, envelope: Envelope, contents: Sequence[Content], *, tenant: str) -> RowId:
        """Append one row and the contents it refers to.

        Raises OSError when the spool refuses; the chain then stands where it stood.
        """
        writer, chain_id = self.writer, self.chain_id
        (_, newest, prev_hash), newest_ns = writer.end.mark
        seq = newest + 1
        env = envelope if isinstance(envelope, bytes) else envelope(chain_id, seq)
        time_ns = self._clock()
        if time_ns < newest_ns:
            time_ns, env = newest_ns, _clamped(env)
        env_digest, digest = row_hashes(chain_id, seq, prev_hash, time_ns, env)
        pieces = row_frame(seq, time_ns, prev_hash, env_digest, digest, tenant.encode(), env)
        known, new = self._known, []
        for content in contents:  # written out: a comprehension is a call
            if content.ref not in known:
                new.append(content)  # noqa: PERF401
        if new:
            pieces = (*itertools.chain.from_iterable(map(content_frame, new)), *pieces)
        row_id: RowId = _as_tuple(RowId, (chain_id, seq, digest))
        try:
            writer.append(b"".join(pieces), _as_tuple(Head, (row_id, time_ns)))
        except BaseException:
            with contextlib.suppress(OSError):  # the next append tries again, before it writes
                writer.repair()
            raise
        if new:
            self._remember(new)
        return row_id

    def _remember(self, contents: Sequence[Content]) -> None:
        """Note what is in the spool already; the row is complete, so nothing depends on this."""
        known = self._known
        for content in contents:
            known[content.ref] = None
        while len(known) > MAX_KNOWN_CONTENTS:
            known.popitem(last=False)


def _clamped(env: bytes) -> bytes:
    """Return the envelope that says that its row's time was held at its predecessor's."""
    return orjson.dumps({**orjson.loads(env), "clock_clamped": True}, option=orjson.OPT_SORT_KEYS)
