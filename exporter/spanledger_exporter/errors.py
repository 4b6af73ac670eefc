"""Every error this area raises on purpose.

    SpanledgerError
    ├── ConfigurationError   a setting is wrong: the variable, the value, what is accepted
    ├── UsageError           a command or call was asked for something that it does not do
    ├── DataError            bytes or values that break a format
    │   ├── CanonicalError       a value has no place in the envelope profile
    │   ├── SpoolError           a spool file holds something else than what a writer leaves there
    │   └── ProofError           a note, checkpoint, proof, key or bundle does not parse or does not hold
    ├── VerificationError    a ledger was read and found wrong
    ├── RecordError          a row could not be made durable: the spool refuses it
    └── StoreError           the database or the line to it failed
        ├── StoreBusyError       another process holds the embedded store: who, since when
        └── StoreRefusedError    the engine answered and said no to this statement or these rows

Messages say what was expected, what came, where, and what to do next.
"""

from __future__ import annotations


class SpanledgerError(Exception):
    """Base of every error that spanledger raises on purpose."""


class ConfigurationError(SpanledgerError):
    """A setting has a value that is not accepted."""


class UsageError(SpanledgerError):
    """A command or call was asked for something that it does not do."""


class DataError(SpanledgerError):
    """Bytes or values that break a format."""


class CanonicalError(DataError):
    """A value has no place in the envelope profile."""


class SpoolError(DataError):
    """A spool file holds something else than what a writer leaves there."""


class ProofError(DataError):
    """A note, checkpoint, proof, key or bundle does not parse or does not hold."""


class VerificationError(SpanledgerError):
    """A ledger was read and found wrong."""


class RecordError(SpanledgerError):
    """A row could not be made durable. `refuses_call` says whether the call that it was about must not proceed."""

    def __init__(self, message: str, *, refuses_call: bool = False) -> None:
        super().__init__(message)
        self.refuses_call = refuses_call


class StoreError(SpanledgerError):
    """The database or the line to it failed. `code` is ClickHouse's, where the engine answered."""

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class StoreBusyError(StoreError):
    """Another process holds the embedded store."""


class StoreRefusedError(StoreError):
    """The engine answered and said no to this statement or these rows.

    `blames_data` says that the very values are at fault: the same rows would be refused by a healthy server too.
    """

    def __init__(self, message: str, *, code: int | None = None, blames_data: bool = False) -> None:
        super().__init__(message, code=code)
        self.blames_data = blames_data
