"""What people record about events: reviews and decisions, each a chained row linked to its subject.

Rules
- The row carries the subject's tenant, case and trace, so that it stands in the same timeline, and names the subject in
  `parent_event_id`.
- Without a draft of the caller's, the draft is what the subject put out. Without an author, the author is who wrote it:
  who acted in the subject, and of a review who edited; whoever only approved, rejected or handed on wrote nothing.
  An approval by the author is marked (`is_self_review`).
- Words are content under the process's content policy: `SPANLEDGER_CONTENT` and the redaction rules hold here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spanledger_exporter.config import Settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.normalise.parts import ContentPolicy, Parts
from spanledger_exporter.read.contents import ReadableContent
from spanledger_exporter.read.event import Event
from spanledger_exporter.redact.rules import Redactor
from spanledger_semconv import attributes as keys
from spanledger_semconv import bodies
from spanledger_semconv.review import HumanReview


@dataclass(frozen=True, slots=True)
class Judgement:
    """An envelope for the recorder, and the contents it refers to."""

    envelope: Mapping[str, Any]
    contents: Sequence[Content]


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as a person or a rule outside the process took it."""

    name: str
    result: str
    condition: str | None = None
    branches_skipped: Sequence[str] = ()
    is_default: bool | None = None
    confidence: float | None = None
    rationale: str | None = None
    policy: str | None = None
    policy_version: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a decision that says nothing, or is surer than sure."""
        if not self.name.strip() or not self.result.strip():
            raise UsageError("expected a decision's name and its result, got an empty one")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise UsageError(f"expected a confidence from 0 to 1, got {self.confidence}")

    def attributes(self) -> dict[str, Any]:
        """Return the decision's attributes, without content."""
        values = {
            keys.SPANLEDGER_DECISION_NAME: self.name,
            keys.SPANLEDGER_DECISION_RESULT: self.result,
            keys.SPANLEDGER_DECISION_CONDITION: self.condition,
            keys.SPANLEDGER_DECISION_BRANCHES_SKIPPED: list(self.branches_skipped) or None,
            keys.SPANLEDGER_DECISION_IS_DEFAULT: self.is_default,
            keys.SPANLEDGER_DECISION_CONFIDENCE: self.confidence,
            keys.SPANLEDGER_DECISION_POLICY_NAME: self.policy,
            keys.SPANLEDGER_DECISION_POLICY_VERSION: self.policy_version,
        }
        return {key: value for key, value in values.items() if value is not None}


def content_policy(settings: Settings) -> ContentPolicy:
    """Return what these settings say about content."""
    return ContentPolicy(settings.content, Redactor(settings.redact))


def complete_review(review: HumanReview, subject: Event, contents: Mapping[str, ReadableContent]) -> HumanReview:
    """Fill in what the subject says: the draft, its author, and that the reviewer saw it."""
    return replace(
        review,
        subject=subject.event_id,
        author=review.author or author_of(subject) or None,
        draft=review.draft if review.draft is not None else draft_of(subject, contents),
        seen_event_ids=tuple(review.seen_event_ids) or (subject.event_id,),
    )


def author_of(subject: Event) -> str:
    """Return who wrote what a subject put out; empty when nobody knows."""
    if subject.event_type == "human_review" and subject.text("review", "action") != "edit":
        return subject.text("review", "author", "id")
    return subject.text("actor", "id")


def draft_of(subject: Event, contents: Mapping[str, ReadableContent]) -> str | None:
    """Return the text that a subject put out; a review's is the final version that it let pass, or its draft."""
    wanted = ("final", "draft") if subject.event_type == "human_review" else ("text", "rationale")
    items = subject.items() if subject.event_type == "human_review" else subject.at("output") or []
    for kind in wanted:
        texts = [
            content.text
            for item in items
            if isinstance(item, Mapping)
            and item.get("type") == kind
            and (content := contents.get(str(item.get("ref")))) is not None
            and not content.problem
        ]
        if texts:
            return "\n".join(texts)
    return None


def review_row(review: HumanReview, subject: Event, policy: ContentPolicy) -> Judgement:
    """Return the row of a review about `subject`."""
    attributes = review.attributes()
    parts = Parts(policy)
    envelope = _about(subject) | {
        "event_type": "human_review",
        "name": f"review {review.action}",
        "outcome": attributes[keys.SPANLEDGER_EVENT_OUTCOME],
        "actor": bodies.actor(attributes),
        "review": bodies.body(attributes, "review"),
        "input": parts.messages(review.input_messages()),
        "output": parts.messages(review.output_messages()),
    }
    return Judgement(_without_empty(envelope), parts.contents)


def decision_row(decision: Decision, subject: Event | None, policy: ContentPolicy, *, person: str) -> Judgement:
    """Return the row of a decision, about `subject` where there is one."""
    parts = Parts(policy)
    why = [{"role": "decision", "parts": [{"type": "rationale", "content": decision.rationale}]}]
    envelope = (_about(subject) if subject else {}) | {
        "event_type": "decision",
        "name": f"decision {decision.name}",
        "outcome": "success",
        "actor": {"type": "user", "id": person},
        "decision": bodies.body(decision.attributes(), "decision"),
        "confidence": decision.confidence,
        "output": parts.messages(why) if decision.rationale else [],
    }
    return Judgement(_without_empty(envelope), parts.contents)


def make_review(**facts: Any) -> HumanReview:
    """Return a review. Raises UsageError where the facts make none."""
    try:
        return HumanReview(**facts)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _about(subject: Event) -> dict[str, Any]:
    """Return what a row takes over from the event that it is about."""
    return {
        "tenant": subject.text("tenant"),
        "environment": subject.text("environment"),
        "trace_id": subject.text("trace_id"),
        "parent_event_id": subject.event_id,
        "context": dict(subject.at("context") or {}),
    }


def _without_empty(envelope: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in envelope.items() if value not in (None, "", [], {})}
