"""A believable story for tests of reading: a security team lets an agent triage alerts, people review it.

Every case runs: agent run, retrieval, model call (streamed), tool call, decision, final model call, human review,
and, when approved, an action in the world. Along the way the prompt goes from 2.0.0 to 2.1.0, the model changes, a
tool fails, a call dies with its process (begin without end), one answer has low confidence, one reviewer edits the
draft, one rejects it, one approves her own draft, and one case falls through to the default branch.

| case | what is special |
|---|---|
| CASE-1 | approved; prompt 2.0.0, model gpt-5 |
| CASE-2 | the tool fails once and is tried again; the reviewer edits the draft |
| CASE-3 | low confidence; rejected; model changed to claude-sonnet-5, prompt 2.1.0 |
| CASE-4 | default branch; escalated to a second person; no known price |
| CASE-5 | the process is killed during the final call: a begin without an end |
| CASE-6 | the author of the draft approves it: four-eyes violated |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledgers import Chain, Ledger, part
from spanledger_exporter.ledger.content import Content

SYSTEM = "You triage security alerts. Answer with a verdict and a reason."
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """What is special about one case."""

    case_id: str
    action: str = "approve"
    reviewer: str = "maria.keller"
    model: str = "gpt-5"
    provider: str = "openai"
    prompt_version: str = "2.0.0"
    confidence: str = "0.93"
    price_known: bool = True
    tool_fails: bool = False
    default_branch: bool = False
    killed: bool = False


CASES = (
    Case("CASE-1"),
    Case("CASE-2", action="edit", tool_fails=True),
    Case(
        "CASE-3",
        action="reject",
        confidence="0.41",
        model="claude-sonnet-5",
        provider="anthropic",
        prompt_version="2.1.0",
    ),
    Case("CASE-4", action="escalate", price_known=False, default_branch=True, model="local-7b", provider="ollama"),
    Case("CASE-5", killed=True, model="claude-sonnet-5", provider="anthropic", prompt_version="2.1.0"),
    Case(
        "CASE-6",
        reviewer="triage-agent",
        model="claude-sonnet-5",
        provider="anthropic",
        prompt_version="2.1.0",
    ),
)


def tell(ledger: Ledger, cases: tuple[Case, ...] = CASES) -> dict[str, str]:
    """Write the story into `ledger`; returns each case's trace id."""
    chain = ledger.open_chain()
    traces: dict[str, str] = {}
    for case in cases:
        scene = _Scene(ledger, chain, case)
        scene.play()
        traces[case.case_id] = scene.trace_id
        if case.killed:
            chain = ledger.open_chain()  # the process came back
        ledger.now_ns += 3_600_000 * MS
    chain.append({"event_type": "heartbeat", "name": "heartbeat"})
    chain.close()
    return traces


class _Scene:
    """One case, told in the order a processor would write it."""

    def __init__(self, ledger: Ledger, chain: Chain, case: Case) -> None:
        self.ledger, self.chain, self.case = ledger, chain, case
        self.trace_id = sha256(f"{ledger.tenant}/{case.case_id}".encode()).hexdigest()[:32]
        self.clock = self.started = ledger.now_ns
        self.spans = 0
        self.system = ledger.text(SYSTEM, content_class="artifact")
        self.question = ledger.text(
            f"Alert {case.case_id}: 40 failed logins for svc-backup from 10.0.0.{case.case_id[-1]}."
        )

    def play(self) -> None:
        run = self.span_id()
        self.look_up(run)
        first = self.ledger.document(
            {"type": "tool_call", "id": "c1", "name": "whois", "arguments": {"ip": "10.0.0.7"}}
        )
        self.call_model(run, part(first, role="assistant", part_type="tool_call"), tokens=(820, 64), latency=900)
        if self.case.tool_fails:
            self.call_tool(run, error=True)
        self.call_tool(run, error=False)
        self.decide(run)
        draft = self.ledger.text(
            f"{self.case.case_id} is a brute-force attempt.\nBlock the address.\nNo further action."
        )
        final_call = self.call_model(run, part(draft, role="assistant"), tokens=(1240, 210), latency=2400)
        if self.case.killed:
            return
        self.finish_run(run)
        self.review(final_call, draft)
        if self.case.action in {"approve", "edit"}:
            self.act(run)

    def span_id(self) -> str:
        self.spans += 1
        return sha256(f"{self.trace_id}/{self.spans}".encode()).hexdigest()[:16]

    def event(self, event_type: str, span_id: str, parent: str, latency: int, **more: Any) -> dict[str, Any]:
        """Return what every span event of this case carries; moves the clock by `latency` milliseconds."""
        start, self.clock = self.clock, self.clock + latency * MS
        context: Mapping[str, Any] = {
            "case_id": self.case.case_id,
            "session_id": f"s-{self.case.case_id}",
            "user_id": "u-17",
        }
        base: dict[str, Any] = {
            "event_type": event_type,
            "event_id": f"{self.trace_id}:{span_id}",
            "trace_id": self.trace_id,
            "span_id": span_id,
            "time": {"start": str(start), "end": str(self.clock)},
            "actor": {"type": "agent", "id": "triage-agent", "role": "triage"},
            "context": context,
            "latency_ms": str(latency),
            "outcome": "success",
            "capture": {"tier": "captured", "scope": "spanledger.openai", "sampled": True},
        }
        if parent:
            base["parent_span_id"] = parent
        return base | more

    def begin(self, event: Mapping[str, Any]) -> None:
        """Append the intent row of `event`."""
        left_out = {
            "outcome",
            "output",
            "usage",
            "cost",
            "latency_ms",
            "ttft_ms",
            "finish_reasons",
            "confidence",
            "error",
        }
        intent = {key: value for key, value in event.items() if key not in left_out}
        start = event["time"]["start"]
        self.chain.append(
            intent | {"event_id": f"{event['event_id']}:begin", "time": {"start": start}}, time_ns=int(start)
        )

    def end(self, event: Mapping[str, Any]) -> str:
        self.chain.append(event, time_ns=int(event["time"]["end"]))
        return str(event["event_id"])

    def look_up(self, run: str) -> None:
        found = self.ledger.document([{"id": "kb-12", "score": 0.81, "content": "svc-backup runs at 02:00."}])
        query = self.ledger.text("svc-backup failed logins")
        self.end(
            self.event(
                "retrieval",
                self.span_id(),
                run,
                35,
                operation="retrieval",
                name="retrieval runbooks",
                snapshot={"retrieval": {"index": "runbooks", "version": "2026-10-30"}},
                input=[part(query, role="user", part_type="query")],
                output=[part(found, role="tool", part_type="documents")],
            )
        )

    def call_model(self, run: str, output: Mapping[str, Any], *, tokens: tuple[int, int], latency: int) -> str:
        case = self.case
        event = self.event(
            "model_call",
            self.span_id(),
            run,
            latency,
            operation="chat",
            name=f"chat {case.model}",
            snapshot={
                "provider": case.provider,
                "model_requested": case.model,
                "model": f"{case.model}-2026-09-01",
                "model_params": {"temperature": "0"},
                "prompt": {"name": "triage", "version": case.prompt_version, "hash": self.system.ref.hex()},
                "tools": {"whois": "a" * 64},
                "policy": {"name": "soc", "version": "7"},
            },
            input=[part(self.system, role="system"), part(self.question, role="user")],
            output=[output],
            usage={"input_tokens": tokens[0], "output_tokens": tokens[1], "cache_read": 512},
            usage_source="reported",
            finish_reasons=["stop"],
            ttft_ms="180",
            confidence=case.confidence,
        )
        if case.price_known:
            usd = f"{tokens[0] * 0.00000125 + tokens[1] * 0.00001:.9f}"
            event["cost"] = {"usd": usd, "price_source": "genai-prices", "price_version": "0.2.3"}
        self.begin(event)
        if case.killed and latency > 1000:
            return str(event["event_id"])
        return self.end(event)

    def call_tool(self, run: str, *, error: bool) -> None:
        arguments = self.ledger.document({"ip": "10.0.0.7"})
        result = self.ledger.document({"owner": "datacentre", "asn": 64512})
        message = self.ledger.text("whois server closed the connection")
        event = self.event(
            "tool_call",
            self.span_id(),
            run,
            120,
            operation="execute_tool",
            name="execute_tool whois",
            attributes={"gen_ai.tool.name": "whois", "gen_ai.tool.call.id": "c1"},
            input=[part(arguments, role="tool", part_type="arguments", name="whois")],
            attempt=2 if self.case.tool_fails and not error else 1,
        )
        event |= (
            {"outcome": "error", "error": {"type": "ConnectionError", "message_ref": message.ref.hex()}}
            if error
            else {"output": [part(result, role="tool", part_type="result", name="whois")]}
        )
        self.begin(event)
        self.end(event)

    def decide(self, run: str) -> None:
        default = self.case.default_branch
        body = {
            "name": "classify alert",
            "condition": "failed_logins > 30",
            "result": "default" if default else "brute_force",
            "is_default": default,
            "branches_skipped": ["password_spray"] if default else ["default", "password_spray"],
            "confidence": self.case.confidence,
            "policy": {"name": "soc", "version": "7"},
        }
        rationale = self.ledger.text("no rule matched" if default else "40 failures from one address")
        event = self.event("decision", self.span_id(), run, 1, name="decision classify alert", decision=body)
        self.end(
            event
            | {"output": [part(rationale, role="assistant", part_type="rationale")], "confidence": body["confidence"]}
        )

    def finish_run(self, run: str) -> None:
        event = self.event("agent_run", run, "", 0, operation="invoke_agent", name="invoke_agent triage")
        event["time"] = {"start": str(self.started), "end": str(self.clock)}
        event["latency_ms"] = str((self.clock - self.started) // MS)
        self.end(event)

    def review(self, subject: str, draft: Content) -> None:
        case = self.case
        edited = f"{case.case_id} is a brute-force attempt.\nBlock the address for 24 hours.\nNo further action."
        final = self.ledger.text(edited) if case.action == "edit" else draft
        lines = ["-Block the address.", "+Block the address for 24 hours."] if case.action == "edit" else []
        diff = self.ledger.text("\n".join(lines))
        reasoning = {"type": "reasoning", "content": f"{case.action}: checked against the runbook"}
        body = {
            "reviewer": {"id": case.reviewer, "role": "analyst"},
            "author": {"id": "triage-agent"},
            "action": case.action,
            "seen": {"event_ids": [subject], "hashes": [_digest(draft)]},
            "draft": {"hash": _digest(draft)},
            "final": {"hash": _digest(final)},
            "changes": {"inserted": 13 if lines else 0, "deleted": 0},
            "seconds_spent": "95",
            "is_self_review": case.reviewer == "triage-agent",
        }
        event = self.event("human_review", self.span_id(), "", 0, name=f"review {case.action}", review=body)
        event |= {"parent_event_id": subject, "actor": {"type": "user", "id": case.reviewer, "role": "analyst"}}
        event["input"] = [part(draft, role="assistant", part_type="draft")]
        event["output"] = [
            part(final, role="user", part_type="final"),
            part(diff, role="user", part_type="diff"),
            part(self.ledger.document(reasoning), role="user", part_type="reasoning"),
        ]
        event["outcome"] = "escalated" if case.action == "escalate" else "success"
        self.end(event)

    def act(self, run: str) -> None:
        body = {"name": "block_address", "target": "firewall-3", "status": "blocked", "is_reversible": True}
        event = self.event(
            "external_action",
            self.span_id(),
            run,
            300,
            name="block_address",
            action=body,
            idempotency_key=f"block-{self.case.case_id}",
        )
        self.begin(event)
        self.end(event)


def _digest(content: Content) -> str:
    return sha256(content.data or b"").hexdigest()
