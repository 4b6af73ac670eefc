"""Who, for which case, why, with which versions: context that reaches the audit row of every span inside a block.

    with case("ALERT-7"), actor("triage-agent", type="agent"):
        client.chat.completions.create(…)        # its row carries case and actor, with no change to the call

    @policy("aml-triage", version="7")
    async def triage(alert): …

Rules
- Values live in the OpenTelemetry context: they follow `await`, tasks and `contextvars`, and end with their block.
  A plain thread starts empty; `contextvars.copy_context().run(…)`, `asyncio.to_thread` and
  opentelemetry-instrumentation-threading carry them over.
- Those named in `spanledger_semconv.context.PROPAGATED` also travel to other services as baggage, in the headers of
  every instrumented request, to third parties too. `propagate=False` keeps them in the process.
- Inner blocks win over outer ones, as a whole: `policy("b")` inside `policy("a", version="7")` has no version. Only a
  block that names the same thing again keeps what the outer one said of it.
- What the inner block keeps in the process must not travel as the outer block's value either: that would be a lie.
- Nothing here needs the exporter, or makes a span.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import Token
from types import TracebackType
from typing import Any, Self, TypeVar

from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach, get_current

from spanledger.decorated import decorated, refuse_bare
from spanledger_semconv import attributes as keys
from spanledger_semconv.context import (
    BUSINESS_CONTEXT_KEY,
    MAX_BAGGAGE_CHARACTERS,
    PROPAGATED,
    read_business_context,
)

Function = TypeVar("Function", bound=Callable[..., Any])


class BusinessContext:
    """A block in which some values hold: a context manager (usable once at a time) and a decorator (any number).

    The first of `values` names the thing; None says nothing of it.
    """

    def __init__(self, values: Mapping[str, Any], *, propagate: bool = True) -> None:
        self._naming: str = next(iter(values), "")
        self._name: Any = values.get(self._naming)
        refuse_bare(self._name)
        self._values = {key: value for key, value in values.items() if value is not None}
        self._unsaid = tuple(key for key, value in values.items() if value is None)
        self._travelling = {
            key: text
            for key, value in self._values.items()
            if propagate and key in PROPAGATED and len(text := str(value)) <= MAX_BAGGAGE_CHARACTERS
        }
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise RuntimeError("expected a business context that is not entered yet, got one in use; make a new one")
        self._token = attach(self._extended(get_current()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    def __call__(self, function: Function) -> Function:
        """Return `function` with the values in force during each of its calls."""
        return decorated(function, lambda _function, _args, _kwargs: _Frame(self))

    @contextmanager
    def entered(self) -> Generator[None]:
        """Hold for the length of a `with`; unlike the context manager itself, in any number of places at once."""
        token = attach(self._extended(get_current()))
        try:
            yield
        finally:
            detach(token)

    def _extended(self, context: Context) -> Context:
        local: Mapping[str, Any] = context.get(BUSINESS_CONTEXT_KEY) or {}  # type: ignore[assignment]
        forgotten = self._forgotten(context)
        kept = {key: value for key, value in local.items() if key not in forgotten} if forgotten else local
        extended = Context({**context, BUSINESS_CONTEXT_KEY: {**kept, **self._values}})
        for key in (*forgotten, *self._values):
            if key in self._travelling:
                extended = baggage.set_baggage(key, self._travelling[key], extended)
            elif baggage.get_baggage(key, context) is not None:
                extended = baggage.remove_baggage(key, extended)
        return extended

    def _forgotten(self, context: Context) -> tuple[str, ...]:
        """Return what the outer block said of another thing, and this one does not say."""
        if not self._unsaid:
            return ()
        outer = read_business_context(context, baggage.get_all(context)).get(self._naming)
        return () if outer == self._name else self._unsaid


class _Frame:
    """The block of one decorated call."""

    wants_items = False

    def __init__(self, values: BusinessContext) -> None:
        self.current = values.entered

    def succeed(self, value: Any) -> None:
        """Nothing to do: the values ended with the call."""

    def fail(self, error: BaseException) -> None:
        """Nothing to do: the values ended with the call."""


def case(id: str, *, propagate: bool = True) -> BusinessContext:  # noqa: A002 - the word that callers expect
    """Say which case, ticket, file or claim the work inside belongs to."""
    return BusinessContext({keys.SPANLEDGER_CASE_ID: id}, propagate=propagate)


def actor(
    id: str,  # noqa: A002
    *,
    type: str | None = None,  # noqa: A002
    role: str | None = None,
    run_id: str | None = None,
    propagate: bool = True,
) -> BusinessContext:
    """Say who acts inside: `type` is `agent`, `user`, `system` or `service`."""
    values = {
        keys.SPANLEDGER_ACTOR_ID: id,
        keys.SPANLEDGER_ACTOR_TYPE: type,
        keys.SPANLEDGER_ACTOR_ROLE: role,
        keys.SPANLEDGER_ACTOR_RUN_ID: run_id,
    }
    return BusinessContext(values, propagate=propagate)


def session(id: str, *, user: str | None = None, propagate: bool = True) -> BusinessContext:  # noqa: A002
    """Say which session of a person or process is served; `user` stays in this process and is tokenised in rows."""
    return BusinessContext({keys.SPANLEDGER_SESSION_ID: id, keys.SPANLEDGER_USER_ID: user}, propagate=propagate)


def trigger(what: str, *, propagate: bool = True) -> BusinessContext:
    """Say what set the work inside off: a schedule, a message, a person's request."""
    return BusinessContext({keys.SPANLEDGER_TRIGGER: what}, propagate=propagate)


def retrieval_index(
    name: str, *, version: str | None = None, digest: str | None = None, propagate: bool = True
) -> BusinessContext:
    """Say which index or corpus retrieval inside reads."""
    values = {
        keys.SPANLEDGER_RETRIEVAL_INDEX_NAME: name,
        keys.SPANLEDGER_RETRIEVAL_INDEX_VERSION: version,
        keys.SPANLEDGER_RETRIEVAL_INDEX_DIGEST: digest,
    }
    return BusinessContext(values, propagate=propagate)


def policy(name: str, *, version: str | None = None, propagate: bool = True) -> BusinessContext:
    """Say which policy or rule set is in force inside."""
    values = {keys.SPANLEDGER_POLICY_NAME: name, keys.SPANLEDGER_POLICY_VERSION: version}
    return BusinessContext(values, propagate=propagate)


def dataset(name: str, *, version: str | None = None, propagate: bool = True) -> BusinessContext:
    """Say which data set the work inside uses."""
    values = {keys.SPANLEDGER_DATASET_NAME: name, keys.SPANLEDGER_DATASET_VERSION: version}
    return BusinessContext(values, propagate=propagate)


def context(**identifiers: str) -> BusinessContext:
    """Add business identifiers of your own, by name; no personal data: they stand in the clear, for ever."""
    values = {f"{keys.SPANLEDGER_CONTEXT}.{name}": value for name, value in identifiers.items()}
    return BusinessContext(values, propagate=False)
