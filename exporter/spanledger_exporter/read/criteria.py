"""What a search asks for, and the SQL conditions that say it.

Values travel as bound parameters, never inside the SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, get_args

from spanledger_exporter.errors import UsageError
from spanledger_exporter.read.event import BEGIN
from spanledger_semconv.events import EVENT_TYPES, HOUSEKEEPING
from spanledger_semconv.invocation import Outcome

DEFAULT_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; an empty value does not limit. Times are Unix nanoseconds, `until_ns` is exclusive.

    `as_of_us` leaves out what the store took later (Unix microseconds of its clock): pages of one search then neither
    repeat nor leave out what rows that arrive in between would push from one to the next.

    Raises UsageError for a type or an outcome that no row can have: a typing error would look like nothing found.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    event_type: str = ""
    model: str = ""
    actor: str = ""
    reviewer: str = ""
    case_id: str = ""
    outcome: str = ""
    text: str = ""
    tenant: str = ""
    with_housekeeping: bool = True
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    as_of_us: int | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can meet."""
        for what, asked, known in (
            ("event type", self.event_type, EVENT_TYPES),
            ("outcome", self.outcome, frozenset(get_args(Outcome))),
        ):
            if asked and asked not in known:
                raise UsageError(f"expected an {what} out of {', '.join(sorted(known))}, got {asked!r}")

    @property
    def is_narrow(self) -> bool:
        """Say whether more is asked for than a text: in a ledger of any size few rows may meet it."""
        asked = (self.event_type, self.model, self.actor, self.reviewer, self.case_id, self.outcome)
        return any(asked) or self.since_ns is not None or self.until_ns is not None


_REVIEWER: Final = "(actor_id = {reviewer:String} OR reviewer_id = {reviewer:String})"


@dataclass(slots=True)
class Conditions:
    """SQL conditions on `rows` joined by AND, with their bound parameters."""

    said: tuple[str, ...]
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return " AND ".join(self.said) or "1"

    @classmethod
    def of(cls, criteria: Criteria) -> Conditions:
        """Return the conditions for everything but the text."""
        found = cls((), {})
        found._add("tenant = {tenant:String}", tenant=criteria.tenant)
        found._add("time >= fromUnixTimestamp64Nano({since:Int64})", since=criteria.since_ns)
        found._add("time < fromUnixTimestamp64Nano({until:Int64})", until=criteria.until_ns)
        found._add("stored_at <= fromUnixTimestamp64Micro({as_of:Int64})", as_of=criteria.as_of_us)
        found._add("event_type = {event_type:String}", event_type=criteria.event_type)
        found._add("(model = {model:String} OR model_requested = {model:String})", model=criteria.model)
        found._add("actor_id = {actor:String}", actor=criteria.actor)
        found._add(f"event_type = 'human_review' AND {_REVIEWER}", reviewer=criteria.reviewer)
        found._add("case_id = {case:String}", case=criteria.case_id)
        if not criteria.with_housekeeping:
            found._add("event_type NOT IN {housekeeping:Array(String)}", housekeeping=sorted(HOUSEKEEPING))
        if criteria.outcome == "incomplete":
            found._add(f"(outcome = 'incomplete' OR endsWith(event_id, '{BEGIN}'))")
        else:
            found._add("outcome = {outcome:String}", outcome=criteria.outcome)
        return found

    def also(self, condition: str, **parameters: Any) -> Conditions:
        """Return these conditions and one more."""
        return Conditions((*self.said, condition), self.parameters | parameters)

    def _add(self, condition: str, **parameters: Any) -> None:
        """Add a condition, unless one of its parameters is empty."""
        if all(value not in (None, "") for value in parameters.values()):
            self.said = (*self.said, condition)
            self.parameters |= parameters
