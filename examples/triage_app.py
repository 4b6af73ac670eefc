"""Alert triage: one model investigates with tools, a second one checks its verdict. An ordinary application.

It knows nothing of spanledger: it uses the `openai` and `anthropic` SDKs and, as many services do, plain
OpenTelemetry, to say which trace and which case its work belongs to. The case id travels as OpenTelemetry baggage.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anthropic import Anthropic, APIStatusError
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from opentelemetry import baggage, context, trace

ANALYST_MODEL = os.environ.get("ANALYST_MODEL", "gpt-5-mini")
REVIEWER_MODEL = os.environ.get("REVIEWER_MODEL", "claude-sonnet-5")

ANALYST_PROMPT = """You are a security analyst on duty. Investigate the alert with the tools you have, \
then answer in at most five sentences: a verdict (malicious, suspicious or benign), your confidence from 0 to 1, \
the evidence, and the next step. Never act on your own."""

REVIEWER_PROMPT = """You review the verdicts of another analyst. Say AGREE or DISAGREE first, then why, \
then what a human has to do before anything irreversible happens."""

ALERTS: Sequence[Mapping[str, str]] = (
    {"id": "A-7731", "rule": "Impossible travel", "user": "d.okafor", "host": "LAP-0442"},
    {"id": "A-7732", "rule": "Large upload at night", "user": "svc-backup", "host": "SRV-BACKUP-02"},
)


def login_history(user: str, hours: int) -> object:
    """Look up recent sign-ins."""
    return {
        "user": user,
        "hours": hours,
        "sign_ins": [
            {"at": "2026-11-21T06:02:11Z", "city": "Lagos", "device": "LAP-0442", "enrolled": True},
            {"at": "2026-11-21T06:43:40Z", "city": "Tallinn", "device": "unknown", "enrolled": False},
        ],
    }


def device_posture(host: str) -> object:
    """Look up what device management knows about a host."""
    schedule = "weekly vault copy, Saturday 02:00-03:30" if "BACKUP" in host else None
    return {"host": host, "compliant": True, "last_active": "2026-11-21T05:58:02Z", "schedule": schedule}


LOOKUPS: Mapping[str, Callable[..., object]] = {"login_history": login_history, "device_posture": device_posture}


def tool(name: str, description: str, **properties: object) -> ChatCompletionToolUnionParam:
    """Describe one tool to the model."""
    parameters: dict[str, object] = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool("login_history", "Recent sign-ins of a user.", user={"type": "string"}, hours={"type": "integer"}),
    tool("device_posture", "State of a managed host.", host={"type": "string"}),
]


def investigate(analyst: OpenAI, alert: Mapping[str, str]) -> str:
    """Let the model look things up, then stream its verdict."""
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": ANALYST_PROMPT},
        {"role": "user", "content": json.dumps(alert)},
    ]
    answer = analyst.chat.completions.create(model=ANALYST_MODEL, messages=messages, tools=TOOLS)
    message = answer.choices[0].message
    messages.append(message.to_dict())  # type: ignore[arg-type]  # the SDK's own advice: what came back is sent again
    for call in message.tool_calls or ():
        if call.type == "function":
            arguments: dict[str, Any] = json.loads(call.function.arguments)
            result = LOOKUPS[call.function.name](**arguments)
            print(f"  looked up {call.function.name}({', '.join(map(str, arguments.values()))})")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    stream = analyst.chat.completions.create(model=ANALYST_MODEL, messages=messages, tools=TOOLS, stream=True)
    return "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)


def review(reviewer: Anthropic, alert: Mapping[str, str], verdict: str) -> str:
    """Ask the second model; a provider's failure leaves the alert to a human."""
    try:
        answer = reviewer.messages.create(
            model=REVIEWER_MODEL,
            max_tokens=2048,
            system=REVIEWER_PROMPT,
            thinking={"type": "adaptive"},
            messages=[{"role": "user", "content": f"Alert: {json.dumps(alert)}\n\nVerdict: {verdict}"}],
        )
    except APIStatusError as error:
        return f"no second opinion (HTTP {error.status_code}): left for a human"
    return "".join(block.text for block in answer.content if block.type == "text")


def triage(alert: Mapping[str, str], analyst: OpenAI | None, reviewer: Anthropic | None) -> None:
    """Handle one alert: one trace, one case."""
    token = context.attach(baggage.set_baggage("spanledger.case.id", alert["id"]))
    try:
        with trace.get_tracer("triage").start_as_current_span("triage alert"):
            print(f"alert {alert['id']}: {alert['rule']}")
            verdict = investigate(analyst, alert) if analyst else "not investigated: no analyst model is configured"
            print(f"  analyst:  {verdict}")
            if reviewer:
                print(f"  reviewer: {review(reviewer, alert, verdict)}")
    finally:
        context.detach(token)


def main() -> None:
    """Triage every open alert with the models whose keys are configured."""
    analyst = OpenAI() if os.environ.get("OPENAI_API_KEY") else None
    reviewer = Anthropic(max_retries=0) if os.environ.get("ANTHROPIC_API_KEY") else None
    for alert in ALERTS:
        triage(alert, analyst, reviewer)


if __name__ == "__main__":
    main()
