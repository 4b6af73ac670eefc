"""A human review, as everybody records it: the public API, the command line, the console, the HTTP door.

Rules
- What names a person's words (draft, final, reasoning, what was shown) is content, stored by reference; the envelope
  holds who, in which role, what they did, hashes, counts of changed characters and seconds.
- `edit` needs a final version; `approve` lets the draft pass as it is; `reject` and `escalate` let nothing pass.
- `is_self_review` says that the reviewer wrote the draft; unknown author: unknown, so the field is absent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from spanledger_semconv import attributes as keys
from spanledger_semconv.changes import Changes, value_changes
from spanledger_semconv.digests import json_digest, text_digest

ReviewAction = Literal["approve", "edit", "reject", "escalate"]

ACTIONS: Final[tuple[str, ...]] = get_args(ReviewAction)


@dataclass(frozen=True, slots=True)
class HumanReview:
    """One review. `subject` and `seen_event_ids` are event ids; `shown` is what else was on the screen, in order."""

    reviewer: str
    action: ReviewAction
    role: str | None = None
    author: str | None = None
    subject: str | None = None
    seen_event_ids: Sequence[str] = ()
    shown: Sequence[Any] = ()
    draft: Any = None
    final: Any = None
    reasoning: str | None = None
    seconds_spent: float | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"expected a review action out of {', '.join(ACTIONS)}, got {self.action!r}")
        if self.action == "edit" and self.final is None:
            raise ValueError("expected a final version with the review action edit, got none")
        if not str(self.reviewer).strip():
            raise ValueError("expected who reviewed, got nobody: a review without a reviewer proves nothing")
        if self.seconds_spent is not None and not _is_duration(self.seconds_spent):
            raise ValueError(f"expected the seconds that the review took, from 0, got {self.seconds_spent}")

    @property
    def passed(self) -> Any:
        """What the reviewer let pass, None when nothing."""
        if self.action in ("approve", "edit"):
            return self.draft if self.final is None else self.final
        return None

    @property
    def changes(self) -> Changes | None:
        """What the reviewer changed in the draft, None when there is nothing to compare."""
        passed = self.passed
        return None if self.draft is None or passed is None else value_changes(self.draft, passed)

    def attributes(self) -> dict[str, Any]:
        """Return every attribute of the review, without content."""
        changes = self.changes
        values = {
            keys.SPANLEDGER_EVENT_TYPE: "human_review",
            keys.SPANLEDGER_EVENT_OUTCOME: "escalated" if self.action == "escalate" else "success",
            keys.SPANLEDGER_ACTOR_TYPE: "user",
            keys.SPANLEDGER_ACTOR_ID: self.reviewer,
            keys.SPANLEDGER_ACTOR_ROLE: self.role,
            keys.SPANLEDGER_PARENT_EVENT_ID: self.subject,
            keys.SPANLEDGER_REVIEW_REVIEWER_ID: self.reviewer,
            keys.SPANLEDGER_REVIEW_REVIEWER_ROLE: self.role,
            keys.SPANLEDGER_REVIEW_ACTION: self.action,
            keys.SPANLEDGER_REVIEW_SECONDS_SPENT: self.seconds_spent,
            keys.SPANLEDGER_REVIEW_AUTHOR_ID: self.author,
            keys.SPANLEDGER_REVIEW_IS_SELF_REVIEW: None if self.author is None else self.author == self.reviewer,
            keys.SPANLEDGER_REVIEW_SEEN_EVENT_IDS: list(self.seen_event_ids) or None,
            keys.SPANLEDGER_REVIEW_SEEN_HASHES: [content_hash(item) for item in self.shown] or None,
            keys.SPANLEDGER_REVIEW_DRAFT_HASH: None if self.draft is None else content_hash(self.draft),
            keys.SPANLEDGER_REVIEW_FINAL_HASH: None if self.passed is None else content_hash(self.passed),
            keys.SPANLEDGER_REVIEW_CHANGES_INSERTED: None if changes is None else changes.inserted,
            keys.SPANLEDGER_REVIEW_CHANGES_DELETED: None if changes is None else changes.deleted,
        }
        return {key: value for key, value in values.items() if value is not None}

    def input_messages(self) -> list[dict[str, Any]]:
        """Return what the reviewer had before them: what was shown, and the draft."""
        parts = [content_part(item, "seen") for item in self.shown]
        parts += [] if self.draft is None else [content_part(self.draft, "draft")]
        return [{"role": "reviewer", "parts": parts}] if parts else []

    def output_messages(self) -> list[dict[str, Any]]:
        """Return what came of it: the final version, the difference, the reasoning."""
        parts = [] if self.passed is None else [content_part(self.passed, "final")]
        changes = self.changes
        if changes is not None and changes.operations:
            parts += [{"type": "diff", "content": changes.lines}, changes.as_part()]
        if self.reasoning:
            parts.append({"type": "reasoning", "content": self.reasoning})
        return [{"role": "reviewer", "parts": parts}] if parts else []


def _is_duration(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < math.inf


def content_hash(value: Any) -> str:
    """Return the lower-case hex SHA-256 of a text, or of any other value's canonical JSON."""
    return text_digest(value) if isinstance(value, str) else json_digest(value)


def content_part(value: Any, kind: str) -> dict[str, Any]:
    """Return a text or any JSON value as a message part of type `kind`."""
    return {"type": kind, "content": value}
