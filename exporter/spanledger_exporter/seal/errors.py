"""Why the sealer stops.

SpanledgerError
├── VerificationError
│   └── SealRefusedError     the log, its checkpoints or an anchor contradict each other: nothing is signed
└── StoreError
    └── StoreBusyError
        ├── SealerBusyError  another sealer holds the lease: who, since when
        └── LeaseLostError   another sealer took over while this one worked
"""

from __future__ import annotations

from spanledger_exporter.errors import StoreBusyError, VerificationError


class SealRefusedError(VerificationError):
    """The log, its checkpoints or an anchor contradict each other; signing now would bless it."""


class SealerBusyError(StoreBusyError):
    """Another sealer holds the lease."""


class LeaseLostError(StoreBusyError):
    """Another sealer took over while this one worked."""
