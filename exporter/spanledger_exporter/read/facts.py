"""What is worth saying about an event in short pieces: versions in force, tokens, money, who decided what, state."""

from __future__ import annotations

from typing import Final

from spanledger_exporter.read.event import Event
from spanledger_exporter.read.figures import format_duration, format_money

_VERSIONS: Final = (
    ("prompt", "prompt", "name"),
    ("index", "retrieval", "index"),
    ("policy", "policy", "name"),
    ("data set", "dataset", "name"),
)
"""Word, part of the snapshot, and the member that names it; its version stands beside."""

_DIGEST_SHOWN: Final = 8


def facts(event: Event) -> list[str]:
    """Return the pieces that apply to `event`; its state is the last."""
    found = [
        event.model if event.event_type in {"model_call", "embedding"} else "",
        *_versions(event),
        _tokens(event),
        format_money(event.cost_usd),
        *_body(event),
        _confidence(event),
        f"attempt {event.at('attempt')}" if event.at("attempt") and str(event.at("attempt")) != "1" else "",
        " ".join(filter(None, (event.outcome, event.text("error", "type")))),
        event.state,
    ]
    return [fact for fact in found if fact]


def reviewer(event: Event) -> str:
    """Return who reviewed, with the role."""
    person = event.text("review", "reviewer", "id") or event.text("actor", "id")
    role = event.text("review", "reviewer", "role") or event.text("actor", "role")
    return f"{person} ({role})" if role else person


def _versions(event: Event) -> list[str]:
    named = [
        (word, " ".join(filter(None, (event.text("snapshot", part, name), event.text("snapshot", part, "version")))))
        for word, part, name in _VERSIONS
    ]
    return [f"{word} {version}" for word, version in named if version] + [_own_version(event)]


def _own_version(event: Event) -> str:
    """Return the version of what the event itself is: a tool, an agent, a workflow."""
    part = {"agent_run": "agent", "workflow_run": "workflow"}.get(event.event_type, "")
    version = event.text("snapshot", part, "version") if part else ""
    if event.event_type == "tool_call":
        version = event.text("snapshot", "tools", event.text("attributes", "gen_ai.tool.name"))
    if len(version) == 64:  # the digest of a definition that nobody gave a version
        version = version[:_DIGEST_SHOWN]
    return f"version {version}" if version else ""


def _tokens(event: Event) -> str:
    counted = [event.at("usage", "input_tokens"), event.at("usage", "output_tokens")]
    if all(count is None for count in counted):
        return ""
    given, answered = (
        "?" if count is None else f"{count:,}" if isinstance(count, int) else str(count) for count in counted
    )
    source = event.text("usage_source")
    return f"{given} tokens in, {answered} out" + (f" ({source})" if source not in {"", "reported"} else "")


def _confidence(event: Event) -> str:
    confidence = event.text("decision", "confidence") or event.text("confidence")
    return f"confidence {confidence}" if confidence else ""


def _body(event: Event) -> list[str]:
    told = {
        "decision": _decision,
        "human_review": _review,
        "external_action": _action,
        "escalation": _escalation,
    }.get(event.event_type)
    return told(event) if told else []


def _decision(event: Event) -> list[str]:
    skipped = event.at("decision", "branches_skipped")
    policy = [event.text("decision", "policy", member) for member in ("name", "version")]
    own = " ".join(filter(None, policy))
    return [
        _after("policy ", own if not event.at("snapshot", "policy") else ""),
        event.text("decision", "condition"),
        _after("→ ", event.text("decision", "result")),
        "default branch" if event.at("decision", "is_default") is True else "",
        _after("not taken: ", ", ".join(map(str, skipped)) if isinstance(skipped, list) else ""),
    ]


def _review(event: Event) -> list[str]:
    seen, spent = event.at("review", "seen", "event_ids"), event.text("review", "seconds_spent")
    count = len(seen) if isinstance(seen, list) else 0
    return [
        f"by {reviewer(event)}",
        event.text("review", "action"),
        "REVIEWED BY ITS AUTHOR" if event.at("review", "is_self_review") is True else "",
        f"saw {count} event{'' if count == 1 else 's'}" if count else "",
        _after("took ", _seconds(spent)),
    ]


def _action(event: Event) -> list[str]:
    return [
        _after("on ", event.text("action", "target")),
        event.text("action", "status"),
        _after("reference ", event.text("action", "reference")),
        _after("once-only key ", event.text("idempotency_key")),
    ]


def _escalation(event: Event) -> list[str]:
    return [
        _after("to ", event.text("escalation", "to")),
        event.text("escalation", "reason"),
        event.text("escalation", "severity"),
        _after("due ", event.text("escalation", "due")),
    ]


def _after(word: str, text: str) -> str:
    return word + text if text else ""


def _seconds(text: str) -> str:
    try:
        return format_duration(float(text) * 1000)
    except ValueError:  # it says what it says
        return text
