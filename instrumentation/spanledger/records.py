"""Things that people and rules do, each one a row of its own: decisions, external actions, escalations, reviews.

    decision("route alert", result="escalate", condition="score >= 0.8", branches_skipped=["close"])

    with external_action("refund", target="core-banking", idempotency_key="refund-123") as action:
        answer = bank.refund(…)                 # its intent is durable before this line runs
        action.done(status=answer.status, reference=answer.id)

    with reviewing(reviewer="m.keller", role="compliance", author="triage", subject=event, draft=text) as it:
        it.edit(corrected, reasoning="two prior alerts")      # the time inside the block is the time spent

Rules
- Each returns or has an `event_id`, by which other events name it.
- What a person wrote (draft, final, reasoning, rationale) is content, stored by reference; the envelope holds hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar

from opentelemetry.trace import SpanKind, get_current_span

from spanledger.business_context import actor
from spanledger.decorated import decorated, refuse_bare
from spanledger.event_span import EventSpan, json_value
from spanledger.steps import arguments_of
from spanledger_semconv import attributes as keys
from spanledger_semconv.events import span_event_id
from spanledger_semconv.review import HumanReview, ReviewAction

Function = TypeVar("Function", bound=Callable[..., Any])


def current_event_id() -> str | None:
    """Return the id that the current span's row has or will have, None without a span."""
    context = get_current_span().get_span_context()
    return span_event_id(context.trace_id, context.span_id) if context.is_valid else None


def decision(
    name: str,
    *,
    result: str,
    condition: str | None = None,
    branches_skipped: Sequence[str] = (),
    is_default: bool | None = None,
    confidence: float | None = None,
    rationale: str | None = None,
    policy: str | None = None,
    policy_version: str | None = None,
    subject: str | None = None,
) -> str:
    """Record which way a decision went and why, and return its event id.

    `subject` is the event that the decision is about; `policy` defaults to the one in force.
    """
    attributes = {
        keys.SPANLEDGER_EVENT_TYPE: "decision",
        keys.SPANLEDGER_PARENT_EVENT_ID: subject,
        keys.SPANLEDGER_DECISION_NAME: name,
        keys.SPANLEDGER_DECISION_RESULT: result,
        keys.SPANLEDGER_DECISION_CONDITION: condition,
        keys.SPANLEDGER_DECISION_BRANCHES_SKIPPED: list(branches_skipped) or None,
        keys.SPANLEDGER_DECISION_IS_DEFAULT: is_default,
        keys.SPANLEDGER_DECISION_CONFIDENCE: confidence,
        keys.SPANLEDGER_DECISION_POLICY_NAME: policy,
        keys.SPANLEDGER_DECISION_POLICY_VERSION: policy_version,
    }
    outputs = [{"role": "decision", "parts": [{"type": "rationale", "content": rationale}]}] if rationale else []
    return _record(f"decision {name}", attributes, outputs=outputs)


def escalation(
    to: str,
    *,
    reason: str | None = None,
    severity: str | None = None,
    due: str | None = None,
    subject: str | None = None,
) -> str:
    """Record that something was handed to a person or a higher level, and return the event id.

    `reason` is a word or two without personal data; `due` is ISO 8601.
    """
    attributes = {
        keys.SPANLEDGER_EVENT_TYPE: "escalation",
        keys.SPANLEDGER_EVENT_OUTCOME: "escalated",
        keys.SPANLEDGER_PARENT_EVENT_ID: subject,
        keys.SPANLEDGER_ESCALATION_TO: to,
        keys.SPANLEDGER_ESCALATION_REASON: reason,
        keys.SPANLEDGER_ESCALATION_SEVERITY: severity,
        keys.SPANLEDGER_ESCALATION_DUE: due,
    }
    return _record(f"escalation {to}", attributes)


def review(
    *,
    reviewer: str,
    action: ReviewAction,
    role: str | None = None,
    author: str | None = None,
    subject: str | None = None,
    seen: Sequence[str] = (),
    shown: Sequence[Any] = (),
    draft: Any = None,
    final: Any = None,
    reasoning: str | None = None,
    seconds_spent: float | None = None,
) -> str:
    """Record a human review and return its event id.

    `seen` are ids of events that the reviewer looked at, `shown` is what else was on the screen, `author` wrote the
    draft: when that is the reviewer, the row says so. Raises ValueError for an action that makes no sense.
    """
    made = HumanReview(
        reviewer=reviewer,
        action=action,
        role=role,
        author=author,
        subject=subject,
        seen_event_ids=tuple(seen) or ((subject,) if subject else ()),
        shown=[json_value(item) for item in shown],
        draft=None if draft is None else json_value(draft),
        final=None if final is None else json_value(final),
        reasoning=reasoning,
        seconds_spent=seconds_spent,
    )
    # The reviewer acts here: role and run of an agent around the review are not theirs.
    with actor(reviewer, type="user", role=role, propagate=False).entered():
        return _record(
            f"review {action}", made.attributes(), inputs=made.input_messages(), outputs=made.output_messages()
        )


def _record(
    name: str,
    attributes: Mapping[str, Any],
    *,
    inputs: Sequence[Mapping[str, Any]] = (),
    outputs: Sequence[Mapping[str, Any]] = (),
) -> str:
    span = EventSpan(name, attributes, inputs=inputs)
    outcome = attributes.get(keys.SPANLEDGER_EVENT_OUTCOME, "success")
    span.end(outputs, outcome=outcome)
    return span.event_id


class Reviewing:
    """An open review; leaving its block without an answer records nothing."""

    def __init__(self, **facts: Any) -> None:
        self._facts = facts
        self._began_s = perf_counter()
        self._answer: dict[str, Any] | None = None
        self.event_id: str | None = None

    def approve(self, *, reasoning: str | None = None) -> None:
        """Let the draft pass as it is."""
        self._answer = {"action": "approve", "reasoning": reasoning}

    def edit(self, final: Any, *, reasoning: str | None = None) -> None:
        """Let a corrected version pass."""
        self._answer = {"action": "edit", "final": final, "reasoning": reasoning}

    def reject(self, *, reasoning: str | None = None) -> None:
        """Let nothing pass."""
        self._answer = {"action": "reject", "reasoning": reasoning}

    def escalate(self, *, reasoning: str | None = None) -> None:
        """Hand it on; `escalation(…)` says to whom."""
        self._answer = {"action": "escalate", "reasoning": reasoning}

    def __enter__(self) -> Self:
        self._began_s = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._answer is not None:
            spent = round(perf_counter() - self._began_s, 3)
            self.event_id = review(**self._facts, **self._answer, seconds_spent=spent)


def reviewing(
    *,
    reviewer: str,
    role: str | None = None,
    author: str | None = None,
    subject: str | None = None,
    seen: Sequence[str] = (),
    shown: Sequence[Any] = (),
    draft: Any = None,
) -> Reviewing:
    """Begin a review whose time is measured; answer it inside with `approve`, `edit`, `reject` or `escalate`."""
    return Reviewing(reviewer=reviewer, role=role, author=author, subject=subject, seen=seen, shown=shown, draft=draft)


class ExternalAction:
    """Something done in the world: a context manager and a decorator. Its intent is durable before it begins."""

    wants_items = True

    def __init__(self, name: str, attributes: Mapping[str, Any], *, details: Any = None) -> None:
        self._name = name
        self._attributes = attributes
        self._details = details
        self._outcome: dict[str, Any] = {}
        self._result: Any = None
        self._span: EventSpan | None = None
        self._stack = ExitStack()

    @property
    def event_id(self) -> str:
        """The id that the action's row has; only inside the block."""
        return self._span.event_id if self._span is not None else ""

    def done(self, *, status: str | None = None, reference: str | None = None, result: Any = None) -> None:
        """Say what the other side answered: its status, its id of the act, the whole answer."""
        self._outcome = {keys.SPANLEDGER_ACTION_STATUS: status, keys.SPANLEDGER_ACTION_REFERENCE: reference}
        self._result = result

    def __enter__(self) -> Self:
        self.start(self._details)
        self._stack.enter_context(self.current())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is None:
            self.succeed(self._result)
        else:
            self.fail(error)

    def __call__(self, function: Function) -> Function:
        """Return `function` as an external action: arguments are the details, its return value is the result."""

        def make_block(
            function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
        ) -> ExternalAction:
            block = ExternalAction(self._name, self._attributes)
            block.start(arguments_of(function, args, kwargs))
            return block

        return decorated(function, make_block)

    def start(self, details: Any = None) -> None:
        """Start the span; its intent is durable when this returns."""
        inputs = [] if details is None else _documents("arguments", details)
        self._span = EventSpan(self._name, self._attributes, kind=SpanKind.CLIENT, inputs=inputs)

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the action's span current for the length of a `with`."""
        assert self._span is not None  # noqa: S101 - an action is started before it is current
        with self._span.current():
            yield

    def succeed(self, value: Any) -> None:
        """End the action with its result."""
        assert self._span is not None  # noqa: S101 - as above
        self._span.end([] if value is None else _documents("result", value), attributes=self._outcome)

    def fail(self, error: BaseException) -> None:
        """End the action with an exception: nobody knows whether it happened, the idempotency key tells."""
        assert self._span is not None  # noqa: S101 - as above
        self._span.fail(error, attributes=self._outcome)


def external_action(
    name: str,
    *,
    target: str | None = None,
    idempotency_key: str | None = None,
    is_reversible: bool | None = None,
    subject: str | None = None,
    details: Any = None,
) -> ExternalAction:
    """Record something done in the world; `subject` is the event that caused it, `details` is what is sent."""
    refuse_bare(name)
    attributes = {
        keys.SPANLEDGER_EVENT_TYPE: "external_action",
        keys.SPANLEDGER_PARENT_EVENT_ID: subject,
        keys.SPANLEDGER_IDEMPOTENCY_KEY: idempotency_key,
        keys.SPANLEDGER_ACTION_NAME: name,
        keys.SPANLEDGER_ACTION_TARGET: target,
        keys.SPANLEDGER_ACTION_IDEMPOTENCY_KEY: idempotency_key,
        keys.SPANLEDGER_ACTION_IS_REVERSIBLE: is_reversible,
    }
    return ExternalAction(f"external_action {name}", attributes, details=details)


def _documents(kind: str, value: Any) -> list[dict[str, Any]]:
    return [{"role": "action", "parts": [{"type": kind, "content": json_value(value)}]}]
