"""The ledger as one application process sees it: spans in, rows in the spool, nothing raised.

Rules
- One per process and data directory: the span processor and the span exporter share a chain and know each other's rows.
- Nothing is opened before the first audited span: importing and installing cost nothing, and a server that forks its
  workers after loading the application begins no chain in the parent.
- Nothing of its own is raised, except `CallRefusedError` where the owner asked for it. What cannot be normalised
  becomes a `raw` row; what cannot be written is counted by the recorder.
- A span has one completing row, whoever brings it first; the last `MAX_RECENT` ids are remembered for that.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import RecordError
from spanledger_exporter.normalise.context import inherited_facts
from spanledger_exporter.normalise.dialects import is_dialect_key
from spanledger_exporter.normalise.envelope import BEGIN_SUFFIX, Begun, Normaliser, event_id_of, service_of
from spanledger_exporter.normalise.fallback import raw_body
from spanledger_exporter.normalise.parts import ContentPolicy
from spanledger_exporter.normalise.reading import read, read_invocation
from spanledger_exporter.normalise.remainder import ClearList
from spanledger_exporter.normalise.span_state import SpanState, state_of
from spanledger_exporter.otel.background import finish_shipping, start_threads
from spanledger_exporter.prompts.registry import FILE_NAME as PROMPTS_FILE_NAME
from spanledger_exporter.prompts.registry import PromptMatcher
from spanledger_exporter.recorder import Recorder
from spanledger_exporter.redact.pseudonym import load_key, pseudonym
from spanledger_exporter.redact.rules import Redactor
from spanledger_semconv import attributes as keys
from spanledger_semconv.invocation import CONTEXT_KEY, CallRefusedError, Invocation

MAX_RECENT: Final = 16_384
RECORDER: Final = "application"
_FORK: Final = ":fork:"

_log = logging.getLogger(__name__)


class _Open(weakref.ref[Span]):
    """What is known of a span between its start and its end; it goes when the span is garbage."""

    __slots__ = ("begun", "inherited", "invocation", "key", "ledger", "process", "sampled")

    begun: Begun | None
    inherited: Mapping[str, Any]
    invocation: Invocation | None
    key: tuple[int, int]
    ledger: weakref.ref[SpanLedger]
    process: int
    sampled: bool


class SpanLedger:
    """Records spans; see the module's rules."""

    def __init__(self, settings: Settings, *, role: str = "application", sampling: str | None = None) -> None:
        self.settings = settings
        self._role = role
        self._facts = {"sampling": sampling} if sampling else {}
        self._recorder: Recorder | None = None
        self._recorders: dict[str, Recorder] = {}
        self._reference: weakref.ref[SpanLedger] = weakref.ref(self)
        self._open: dict[tuple[int, int], _Open] = {}
        self._recent: OrderedDict[tuple[int, int], object] = OrderedDict()
        self._pseudonym_key: bytes | None = None
        self._normaliser = Normaliser(
            policy=ContentPolicy(settings.content, Redactor(settings.redact)),
            tokenise=self._tokenise,
            tenant=settings.tenant,
            environment=settings.environment,
            clear_list=ClearList(keys.CLEAR | frozenset(settings.clear_attributes)),
            prompts=PromptMatcher(settings.directory / PROMPTS_FILE_NAME),
        )

    def start(self, span: Span, parent_context: Context | None) -> None:
        """Record the intent row where there is one. Raises CallRefusedError when the owner wants that."""
        try:
            self._start(span, parent_context)
        except RecordError as error:
            if error.refuses_call:
                raise CallRefusedError(
                    f"the audit trail cannot be written, so this call was refused: {error}"
                ) from error
        except Exception:
            _log.exception("spanledger: a span's start could not be recorded")

    def _start(self, span: Span, parent_context: Context | None) -> None:
        invocation = _take_invocation(parent_context)
        inherited = inherited_facts(parent_context)
        is_audited = invocation is not None or self.is_audited(span)
        if not is_audited and not inherited:
            return
        state = state_of(span)
        context = state.context or INVALID_SPAN_CONTEXT
        known = _Open(span, _forget)
        known.ledger, known.key, known.process = self._reference, context[:2], _process
        known.invocation, known.inherited, known.begun = invocation, inherited, None
        known.sampled = _is_sampled(context)
        try:
            if is_audited:
                known.begun = self._begin(span, state, known)
        finally:
            self._open[known.key] = known

    def _begin(self, span: Span, state: SpanState, known: _Open) -> Begun | None:
        try:
            invocation = known.invocation
            reading = read(span) if invocation is None else read_invocation(span, invocation)
            made = self._normaliser.begin(state, reading, known.inherited, sampled=known.sampled)
        except Exception as error:
            self._record_raw(span, error, suffix=BEGIN_SUFFIX)
            return None
        if made is None:
            return None
        prepared, begun = made
        self._recorder_for(span).record_prepared(prepared)
        return begun

    def end(self, span: ReadableSpan) -> None:
        """Record the completing row of a span that has just ended."""
        try:
            key = _key(span)
            self._end(span, key, self._open.pop(key, None))
        except RecordError:
            return  # counted by the recorder; the call has been made, there is nothing to refuse
        except Exception:
            _log.exception("spanledger: a span's end could not be recorded")

    def _end(self, span: ReadableSpan, key: tuple[int, int], known: _Open | None) -> None:
        invocation = known.invocation if known else None
        if (invocation is None and not self.is_audited(span)) or not self._is_first(key):
            return
        # A span that was open when the process forked ends in parent and child: the child's end is its own event.
        fork = f"{_FORK}{_process}" if known is not None and known.process != _process else ""
        self._complete(span, known, tier="captured", fork=fork)

    def _complete(self, span: ReadableSpan, known: _Open | None, *, tier: str, fork: str = "") -> None:
        invocation = known.invocation if known else None
        try:
            prepared = self._normaliser.end(
                span,
                read(span) if invocation is None else read_invocation(span, invocation),
                known.inherited if known else {},
                sampled=known.sampled if known else _is_sampled(span.get_span_context()),
                begun=known.begun if known else None,
                tier=tier,
                fork=fork,
            )
        except Exception as error:
            self._record_raw(span, error, suffix=fork)
        else:
            self._recorder_for(span).record_prepared(prepared)

    def _record_raw(self, span: ReadableSpan, error: Exception, *, suffix: str) -> None:
        """Record a `raw` row of what the span holds, when the normaliser met something that it cannot read."""
        policy = self._normaliser.policy
        # The error may quote the content that it stumbled over.
        reason = f"{type(error).__name__}: {error}" if policy.is_plain else type(error).__name__
        _log.error("spanledger: a span could not be read and is kept as a raw row: %s", reason)
        raw = raw_body(_span_bytes(span), encoding="span-json", reason=reason, policy=policy)
        event_id = event_id_of(span.get_span_context())
        envelope = {"event_type": "raw", "event_id": event_id + suffix, "raw": raw}
        if suffix.startswith(_FORK):
            envelope["parent_event_id"] = event_id
        self._recorder_for(span).record(envelope)

    def record_finished(self, span: ReadableSpan, *, tier: str = "captured") -> bool:
        """Record a span that arrives finished, from another processor or over the wire. Raises RecordError.

        False for one that is recorded already, or is none to record.
        """
        key = _key(span)
        if key in self._open or not self.is_audited(span) or not self._is_first(key):
            return False
        try:
            self._complete(span, None, tier=tier)
        except RecordError:
            self._recent.pop(key, None)  # its sender will try again, and then it is not a repetition
            raise
        return True

    def record_malformed(self, data: bytes, *, encoding: str, reason: str) -> None:
        """Keep what could not be read as a span: its bytes, and why. Raises RecordError."""
        raw = raw_body(data, encoding=encoding, reason=reason, policy=self._normaliser.policy)
        self._recorder_for(None).record({"event_type": "raw", "name": "malformed span", "raw": raw})

    def is_audited(self, span: ReadableSpan) -> bool:
        """Say whether a span belongs into the ledger by what its attributes are about."""
        return self.settings.spans == "all" or any(map(is_dialect_key, span.attributes or ()))

    def remember(self, spans: Iterable[tuple[int, int]]) -> None:
        """Take trace and span ids of what is recorded already: the same spans are repetitions when they come again."""
        for key in spans:
            self._is_first(key)

    def _is_first(self, key: tuple[int, int]) -> bool:
        """Say whether nobody has recorded this span yet, and note it. Atomic under the interpreter's lock."""
        token = object()
        if self._recent.setdefault(key, token) is not token:
            return False
        while len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)  # a plain dict would look for its first entry among all that have left it
        return True

    def _recorder_for(self, span: ReadableSpan | None) -> Recorder:
        """Return the process's recorder. Without a lock: two threads may make one, and agree on which is kept."""
        if self._recorder is not None:
            return self._recorder
        made = Recorder(
            self.settings,
            role=self._role,
            service=service_of(span.resource) if span and self._role == "application" else None,
            facts=self._facts,
            on_begin=lambda: start_threads(self.settings, ships=self._role == "application"),
        )
        self._recorder = self._recorders.setdefault(RECORDER, made)
        return self._recorder

    def _tokenise(self, user_id: str, tenant: str) -> str:
        if self._pseudonym_key is None:
            try:
                self._pseudonym_key = load_key(self.settings.keys_directory)
            except OSError:  # no place for a key: a token that nobody can link is better than the id itself
                self._pseudonym_key = os.urandom(32)
        return pseudonym(self._pseudonym_key, user_id, tenant=tenant)

    def close(self) -> None:
        """Write `chain.close` and ship it, if this process ships; a span that ends later begins another chain."""
        if self._recorder is not None:
            self._recorder.close()
            finish_shipping(self.settings)

    def forget(self, key: tuple[int, int]) -> None:
        """Let go of a span that was never ended and is garbage now: its intent row stands alone."""
        self._open.pop(key, None)


def _forget(known: weakref.ref[Span]) -> None:
    assert isinstance(known, _Open)  # noqa: S101  # it is the callback of no other reference
    ledger = known.ledger()
    if ledger is not None:
        ledger.forget(known.key)


_process = os.getpid()  # asked once: as a system call, once per row, it would cost a microsecond


def _after_fork_in_child() -> None:
    global _process  # noqa: PLW0603  # there is one process id per process
    _process = os.getpid()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _key(span: ReadableSpan) -> tuple[int, int]:
    return (span.get_span_context() or INVALID_SPAN_CONTEXT)[:2]


def _is_sampled(context: SpanContext | None) -> bool:
    return bool(context and context.trace_flags & TraceFlags.SAMPLED)


def _take_invocation(parent_context: Context | None) -> Invocation | None:
    """Return the hand-over in `parent_context`, once: a child span that inherits the context finds it taken."""
    found = parent_context.get(CONTEXT_KEY) if parent_context else None
    if not isinstance(found, Invocation) or found.is_taken:
        return None
    found.is_taken = True
    return found


def _span_bytes(span: ReadableSpan) -> bytes:
    try:
        text: str = span.to_json(indent=0)
        return text.encode("utf-8", "backslashreplace")
    except Exception:
        return repr(dict(span.attributes or {})).encode("utf-8", "backslashreplace")
