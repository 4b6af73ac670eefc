"""The fault table of sealing: which step fails × whether it landed. After each, one clean seal makes everything good.

The steps are not listed by hand. A clean run counts every call that the sealer makes on store, anchor and trust root;
then there is one test per call and outcome, in which the process dies at that call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

from sealing import Bench, open_engine
from spanledger_exporter.anchors.directory import DirectoryAnchor
from spanledger_exporter.errors import StoreError
from spanledger_exporter.keys.key_ring import KeyRing
from spanledger_exporter.seal.rotation import rotate

MAX_CALLS = 60


class Died(BaseException):
    """The process is gone: nothing catches this."""


class Faults:
    """Counts calls, and dies at one of them: before it did anything, or after it landed."""

    def __init__(self, *, at: int = -1, landed: bool = False) -> None:
        self.calls: list[str] = []
        self._at = at
        self._landed = landed

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        """Do `work`, or die before or after it."""
        self.calls.append(name)
        if len(self.calls) - 1 != self._at:
            return work()
        if self._landed:
            work()
        raise Died(name)

    def around(self, target: Any, names: Collection[str]) -> Any:
        """Return `target` with the methods in `names` under these faults."""
        return _Faulty(self, target, names)


class _Faulty:
    """Stands before `target` and lets its faults happen."""

    def __init__(self, faults: Faults, target: Any, names: Collection[str]) -> None:
        self._faults = faults
        self._target = target
        self._names = names
        for name in dir(type(target)):  # Python 3.12 looks for a protocol's methods without asking `__getattr__`
            if not name.startswith("_") and callable(getattr(type(target), name)):
                vars(self)[name] = self.__getattr__(name)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found

        def call(*args: Any, **more: Any) -> Any:
            return self._faults.call(f"{name} {args[0] if args else ''}", lambda: found(*args, **more))

        return call


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Bench]]:
    """Open one engine for this module."""
    with open_engine(tmp_path_factory.mktemp("engine")) as make:
        yield make


def prepared(engine: Callable[[], Bench]) -> Bench:
    """Return a bench that was sealed once and has news: a chain that grew, one that is new, a loss."""
    bench = engine()
    chain = bench.ledger.open_chain()
    bench.ship()
    bench.seal()
    chain.append({"event_type": "model_call"})
    chain.append({"event_type": "loss"})
    bench.ledger.open_chain().close()
    bench.ship()
    return bench


WRITES = frozenset({"insert"})
CALLS = WRITES | {"query", "stream"}
"""A query that landed is a query that was lost: it changed nothing."""


def seal_under(faults: Faults, bench: Bench, calls: frozenset[str] = CALLS) -> None:
    """Seal with faults at every call that writes or reads outside the process."""
    store = faults.around(bench.store, calls)
    anchor = DirectoryAnchor(bench.settings.anchors_directory, target="anchors")
    bench.seal(store=store, anchors=[faults.around(anchor, {"publish", "register_chain", "newest"})])


def rotate_under(faults: Faults, bench: Bench) -> None:
    """Rotate with faults at every write."""
    store = faults.around(bench.store, {"insert"})
    keys: KeyRing = faults.around(bench.keys, {"publish", "begin_rotation", "finish_rotation"})
    rotate(store, settings=bench.settings, keys=keys, anchors=bench.anchors, clock=bench.clock)


def test_the_table_covers_every_call_of_a_seal(engine: Callable[[], Bench]) -> None:
    """If the sealer learns a new step, the table below grows by itself; this holds that it sees the known ones."""
    faults = Faults()
    seal_under(faults, prepared(engine))
    assert [call.split()[1] for call in faults.calls if call.startswith("insert")] == ["log", "checkpoints", "anchors"]
    assert [call.split()[0] for call in faults.calls if not call.startswith(("insert", "query", "stream"))] == [
        "newest",
        "newest",
        "register_chain",
        "publish",
    ]
    assert len(faults.calls) < MAX_CALLS


@pytest.mark.parametrize("landed", [False, True], ids=["lost", "landed"])
def test_a_seal_that_dies_at_any_call_is_made_good_by_the_next(engine: Callable[[], Bench], *, landed: bool) -> None:
    """Every row is sealed once, no two checkpoints disagree, nothing was published that is not stored."""
    for at in range(MAX_CALLS):
        bench = prepared(engine)
        faults = Faults(at=at, landed=landed)
        try:
            seal_under(faults, bench, WRITES if landed else CALLS)
        except Died:
            bench.seal()
        assert bench.examine() == 5, (at, faults.calls[-1])
        if len(faults.calls) <= at:
            return
    pytest.fail("the sealer makes more calls than MAX_CALLS")


@pytest.mark.parametrize("landed", [False, True], ids=["lost", "landed"])
def test_a_seal_that_dies_and_goes_on_with_more_rows_is_made_good_too(
    engine: Callable[[], Bench], *, landed: bool
) -> None:
    """At every write: entries left unsigned are signed first, and then what came since."""
    for at in range(MAX_CALLS):
        bench = prepared(engine)
        faults = Faults(at=at, landed=landed)
        try:
            seal_under(faults, bench, WRITES)
        except Died:
            bench.ledger.open_chain().append({"event_type": "decision"})
            bench.ship()
            bench.seal()
        else:
            return
        assert bench.examine() == 7, (at, faults.calls[-1])


@pytest.mark.parametrize("landed", [False, True], ids=["lost", "landed"])
@pytest.mark.parametrize("finisher", ["rotate again", "seal and rotate again"])
def test_a_rotation_that_dies_at_any_write_is_finished(
    engine: Callable[[], Bench], finisher: str, *, landed: bool
) -> None:
    """One key-rotate entry, both signatures, ranges that meet; whether somebody sealed in between or not."""
    for at in range(MAX_CALLS):
        bench = prepared(engine)
        first = bench.keys.root.current.key
        try:
            rotate_under(Faults(at=at, landed=landed), bench)
        except Died:
            if finisher.startswith("seal"):
                bench.seal()
            if bench.keys.root.current.key == first:
                rotate(bench.store, settings=bench.settings, keys=bench.keys, anchors=bench.anchors, clock=bench.clock)
        else:
            return
        bench.seal()
        assert bench.examine() == 5, at
        assert [entry["type"] for entry in bench.entries()].count("key-rotate") == 1
        old, new = bench.keys.root.log_keys
        assert (old.key, old.until_size, bench.keys.pending_key()) == (first, new.from_size, None)


def test_an_error_of_the_store_leaves_as_itself_and_the_next_seal_goes_on(engine: Callable[[], Bench]) -> None:
    """The line broke while the checkpoint was written: the operator sees that, and nothing is lost."""
    bench = prepared(engine)

    with pytest.raises(StoreError, match="got none"):
        bench.seal(store=_CutLine(bench))
    assert bench.seal().adopted
    assert bench.examine() == 5


class _CutLine:
    """A store whose line is cut when a checkpoint is written."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench.store, name)

    def insert(self, table: str, *args: Any, **more: Any) -> None:
        if table == "checkpoints":
            raise StoreError("expected an answer, got none")
        self._bench.store.insert(table, *args, **more)
