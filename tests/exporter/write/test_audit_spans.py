"""Spans into rows: processor, sampler, exporter, and what the normaliser makes of a span."""

from __future__ import annotations

# Before the first TracerProvider with a resource of its own: the SDK's hook after a fork submits to a thread pool, and
# waits for ever in the child when that pool's own hook was registered after it. Later tests of this process fork.
import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry import baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Decision, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from spanledger_exporter.config import Settings
from spanledger_exporter.otel import process_ledger as process_ledger_module
from spanledger_exporter.otel.install import install
from spanledger_exporter.otel.ledger import SpanLedger
from spanledger_exporter.otel.pre_instrument import is_wanted
from spanledger_exporter.otel.sampler import AuditSampler, audit_sampler
from spanledger_exporter.otel.span_exporter import SpanLedgerExporter
from spanledger_semconv.invocation import (
    CONTEXT_KEY,
    CallSite,
    Invocation,
    InvocationRequest,
    InvocationResult,
    PromptIdentity,
    Usage,
)
from spools import SpooledChain, read_spool, settings_for

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
REQUEST = InvocationRequest(
    operation="chat",
    provider="openai",
    model="gpt-4o",
    attributes={"gen_ai.request.temperature": 0.2, "server.address": "api.openai.com"},
    system_instructions=[{"type": "text", "content": "You sort alerts."}],
    input_messages=[
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "Is 10.0.0.7 ours?"},
                {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "iVBORw0KGgo="},
            ],
        },
    ],
    tool_definitions=[{"type": "function", "name": "whois", "parameters": {"type": "object"}}],
    tools={"whois": "ab" * 32},
    prompt=PromptIdentity(digest="cd" * 32, name="triage", version="2.1.0"),
    call_site=CallSite("app.triage", "run", 42),
)
RESULT = InvocationResult(
    outcome="success",
    response_id="resp_1",
    model="gpt-4o-2024-08-06",
    finish_reasons=("stop",),
    usage=Usage(1_000, 50, cache_read=100),
    output_messages=[{"role": "assistant", "parts": [{"type": "text", "content": "It is."}]}],
    time_to_first_chunk_s=0.25,
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Give settings whose ledger is this test's own."""
    process_ledger_module._ledgers.clear()
    yield settings_for(tmp_path)
    process_ledger_module._ledgers.clear()


def _provider(settings: Settings, **options: Any) -> TracerProvider:
    provider = TracerProvider(resource=Resource({"service.name": "triage", "service.version": "1.4"}), **options)
    assert install(provider, settings) is not None
    return provider


def _call(
    provider: TracerProvider, request: InvocationRequest = REQUEST, result: InvocationResult | None = RESULT
) -> None:
    """Do what an instrumentor does around one call."""
    invocation = Invocation(request)
    context = Context({**get_current(), CONTEXT_KEY: invocation})
    span = provider.get_tracer("spanledger.openai", "0.1").start_span("chat gpt-4o", context, attributes=CHAT)
    invocation.result = result
    span.end()


def _only_chain(settings: Settings) -> SpooledChain:
    (chain,) = read_spool(settings)
    return chain


def _text(chain: SpooledChain, item: Mapping[str, Any]) -> bytes | None:
    return chain.contents[item["ref"]].data


def test_a_call_has_an_intent_row_and_a_completing_row(settings: Settings) -> None:
    """The intent says what is sent, the completion repeats it and says what came back."""
    _call(_provider(settings))
    chain = _only_chain(settings)
    begin, end = chain.events()
    assert begin["event_id"] == f"{end['event_id']}:begin" == f"{end['trace_id']}:{end['span_id']}:begin"
    assert "outcome" not in begin
    assert "end" not in begin["time"]
    assert begin["input"] == end["input"]
    assert (end["outcome"], end["event_type"], end["operation"]) == ("success", "model_call", "chat")


def test_a_completion_holds_what_was_reported(settings: Settings) -> None:
    """Usage, cost with its source, times and reasons, in the profile's forms."""
    _call(_provider(settings))
    _, end = _only_chain(settings).events()
    assert end["usage"] == {"input_tokens": 1000, "output_tokens": 50, "cache_read": 100}
    assert end["usage_source"] == "reported"
    assert end["cost"]["usd"] == "0.002875"
    assert end["cost"]["price_source"] == "genai-prices"
    assert (end["ttft_ms"], end["finish_reasons"]) == ("250.000", ["stop"])
    assert float(end["latency_ms"]) >= 0


def test_a_snapshot_says_what_the_ai_was(settings: Settings) -> None:
    """Provider, both model names, parameters, prompt, tools and the place in the code."""
    _call(_provider(settings))
    _, end = _only_chain(settings).events()
    assert end["snapshot"] == {
        "provider": "openai",
        "model_requested": "gpt-4o",
        "model": "gpt-4o-2024-08-06",
        "model_params": {"temperature": "0.2"},
        "prompt": {"name": "triage", "version": "2.1.0", "hash": "cd" * 32},
        "tools": {"whois": "ab" * 32},
        "code": {"function": "app.triage.run", "line": 42},
    }
    assert end["service"] == {"name": "triage", "version": "1.4"}


def test_every_message_part_is_one_reference_with_its_own_media_type(settings: Settings) -> None:
    """Text as text, images as bytes, definitions as canonical JSON; instructions and definitions are artifacts."""
    _call(_provider(settings))
    chain = _only_chain(settings)
    _, end = chain.events()
    assert [(item["type"], item["class"], item["media"]) for item in end["input"]] == [
        ("text", "artifact", "text/plain; charset=utf-8"),
        ("text", "payload", "text/plain; charset=utf-8"),
        ("blob", "payload", "image/png"),
        ("tool_definition", "artifact", "application/json"),
    ]
    assert [_text(chain, item) for item in end["input"]] == [
        b"You sort alerts.",
        b"Is 10.0.0.7 ours?",
        b"\x89PNG\r\n\x1a\n",
        b'{"name":"whois","parameters":{"type":"object"},"type":"function"}',
    ]
    assert [_text(chain, item) for item in end["output"]] == [b"It is."]


def test_instructions_that_only_the_answer_names_are_input_of_the_completion(settings: Settings) -> None:
    """A reusable prompt's text is not known when the request leaves; it is an artifact like any instruction."""
    told = replace(RESULT, system_instructions=[{"type": "text", "content": "You are thorough."}])
    _call(_provider(settings), result=told)
    chain = _only_chain(settings)
    begin, end = chain.events()
    *sent, last = end["input"]
    assert sent == begin["input"]
    assert (last["role"], last["class"], _text(chain, last)) == ("system", "artifact", b"You are thorough.")


@pytest.mark.parametrize(("mode", "data"), [("withheld", None), ("none", None)])
def test_content_that_is_not_to_be_kept_is_not_kept(settings: Settings, mode: str, data: bytes | None) -> None:
    """`withheld` keeps references that prove equality later, `none` not even those."""
    _call(_provider(settings_for(settings.directory, CONTENT=mode)))
    chain = _only_chain(settings)
    _, end = chain.events()
    assert {content.data for content in chain.contents.values()} <= {data}
    assert ("input" in end) is (mode == "withheld")
    spooled = chain.spool.path(0).read_bytes()
    assert b"10.0.0.7" not in spooled


def test_redaction_comes_before_anything_touches_the_disk(settings: Settings) -> None:
    """A rule's match is replaced in the stored text, and the item says which rule matched."""
    (settings.directory / "spanledger.toml").write_text(
        '[[redact]]\nname = "address"\npattern = "10\\\\.[0-9.]+[0-9]"\n\n'
        '[[redact]]\nname = "verdict"\npattern = "It is"\naction = "withhold"\n'
    )
    _call(_provider(settings_for(settings.directory)))
    chain = _only_chain(settings)
    _, end = chain.events()
    assert _text(chain, end["input"][1]) == b"Is [redacted:address] ours?"
    assert end["input"][1]["redacted"] == ["address"]
    assert (end["output"][0]["class"], _text(chain, end["output"][0])) == ("withheld", None)
    assert b"10.0.0.7" not in chain.spool.path(0).read_bytes()


def test_whatever_else_a_span_says_is_kept_by_reference(settings: Settings) -> None:
    """Unknown attributes, events and links go into one document; clear ones stay in the row."""
    tracer = _provider(settings).get_tracer("app")
    link = Link(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    span = tracer.start_span("chat", attributes={**CHAT, "my.note": "personal", "server.port": 443}, links=[link])
    span.add_event("retry", {"attempt": 2})
    span.end()
    chain = _only_chain(settings)
    _, end = chain.events()
    document = orjson.loads(chain.contents[end["attributes_ref"]].data or b"")
    assert end["attributes"] == {"server.port": 443}
    assert document["attributes"] == {"my.note": "personal"}
    assert [event["name"] for event in document["events"]] == ["retry"]
    assert document["links"][0]["trace_id"] == f"{1:032x}"


def test_what_the_sdk_s_limits_dropped_is_counted(settings: Settings) -> None:
    """A row never pretends to be complete when the SDK cut the span before we saw it."""
    provider = _provider(settings, span_limits=SpanLimits(max_span_attributes=4, max_events=1))
    span = provider.get_tracer("app").start_span("chat", attributes={**CHAT, "a": 1, "b": 2, "c": 3})
    for name in "xyz":
        span.add_event(name)
    span.end()
    end = _only_chain(settings).events()[-1]
    assert end["capture"]["dropped"] == {"attributes": 2, "events": 2}


def test_context_reaches_the_row_through_baggage(settings: Settings) -> None:
    """Business context that another service sent along is on the row, and a user's id only as a token."""
    provider = _provider(settings)
    context = baggage.set_baggage("spanledger.case.id", "CASE-7")
    attributes = {**CHAT, "user.id": "anna@example.org"}
    provider.get_tracer("app").start_span("chat", context, attributes=attributes).end()
    begin, end = _only_chain(settings).events()
    assert begin["context"]["case_id"] == end["context"]["case_id"] == "CASE-7"
    assert end["context"]["user_id"].startswith("u_")
    assert b"anna" not in _only_chain(settings).spool.path(0).read_bytes()


def test_attributes_set_later_change_the_completion(settings: Settings) -> None:
    """The completion starts from the intent's base only while that still holds."""
    span = _provider(settings).get_tracer("app").start_span("chat", attributes=CHAT)
    span.set_attribute("spanledger.case.id", "CASE-9")
    span.update_name("chat, renamed")
    span.end()
    begin, end = _only_chain(settings).events()
    assert "context" not in begin
    assert (end["context"]["case_id"], end["name"]) == ("CASE-9", "chat, renamed")


def test_calls_that_differ_only_in_a_value_s_type_stay_different(settings: Settings) -> None:
    """1, 1.0 and True are equal to Python and three different things to record."""
    provider = _provider(settings)
    for value in (1, 1.0, True):
        provider.get_tracer("app").start_span("chat", attributes={**CHAT, "gen_ai.request.seed": value}).end()
    seeds = [event["snapshot"]["model_params"]["seed"] for event in _only_chain(settings).events()[::2]]
    assert seeds == [1, "1", True]


def test_a_failed_call_names_its_error_and_keeps_the_message_by_reference(settings: Settings) -> None:
    """Error types are clear, their messages may be personal."""
    _call(_provider(settings), result=InvocationResult("error", error_type="RateLimitError", error_message="for anna"))
    chain = _only_chain(settings)
    _, end = chain.events()
    assert (end["outcome"], end["error"]["type"]) == ("error", "RateLimitError")
    assert chain.contents[end["error"]["message_ref"]].data == b"for anna"


def test_a_call_whose_instrumentor_never_said_how_it_ended_is_incomplete(settings: Settings) -> None:
    """No result, no guess."""
    _call(_provider(settings), result=None)
    assert _only_chain(settings).events()[-1]["outcome"] == "incomplete"


def test_a_span_with_error_status_is_an_error(settings: Settings) -> None:
    """Spans of other instrumentations say it by their status."""
    span = _provider(settings).get_tracer("app").start_span("chat", attributes=CHAT)
    span.set_status(Status(StatusCode.ERROR, "went wrong"))
    span.end()
    assert _only_chain(settings).events()[-1]["outcome"] == "error"


def test_a_child_span_does_not_inherit_the_hand_over(settings: Settings) -> None:
    """A hand-over belongs to the first span that starts with it."""
    provider = _provider(settings)
    invocation = Invocation(REQUEST)
    context = Context({**get_current(), CONTEXT_KEY: invocation})
    tracer = provider.get_tracer("app")
    first, second = (tracer.start_span("chat", context, attributes=attributes) for attributes in (CHAT, {"x": 1}))
    second.end()
    first.end()
    assert len(_only_chain(settings).events("model_call")) == 2


def test_spans_about_something_else_are_left_alone(settings: Settings) -> None:
    """Only spans about models, tools and agents are recorded by default; `SPANLEDGER_SPANS=all` records the rest."""
    _provider(settings).get_tracer("app").start_span("GET /", attributes={"http.route": "/"}).end()
    assert read_spool(settings) == []
    process_ledger_module._ledgers.clear()
    everything = settings_for(settings.directory, SPANS="all")
    _provider(everything).get_tracer("app").start_span("GET /", attributes={"http.route": "/"}).end()
    (event,) = _only_chain(settings).events()
    assert (event["event_type"], event["name"]) == ("span", "GET /")


def test_sampling_does_not_punch_holes_into_the_audit(settings: Settings) -> None:
    """With ALWAYS_OFF no backend gets the span, and the ledger has both rows with their content."""
    provider = _provider(settings, sampler=ALWAYS_OFF)
    exported = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    _call(provider)
    begin, end = _only_chain(settings).events()
    assert exported.get_finished_spans() == ()
    assert (begin["capture"]["sampled"], end["capture"]["sampled"]) == (False, False)
    assert end["output"]


def test_a_span_that_sampling_drops_is_still_dropped_when_it_is_not_audited() -> None:
    """The wrapped sampler keeps its say over everything else."""
    sampler = AuditSampler(ALWAYS_OFF)
    assert sampler.should_sample(None, 1, "GET /", attributes={"http.route": "/"}).decision is Decision.DROP
    assert sampler.should_sample(None, 1, "chat", attributes=CHAT).decision is Decision.RECORD_ONLY


@pytest.mark.parametrize("flags", [None, TraceFlags.DEFAULT, TraceFlags.SAMPLED, TraceFlags.SAMPLED | 2])
@pytest.mark.parametrize("is_remote", [True, False])
def test_the_default_sampler_is_answered_for_as_it_would_answer_itself(*, flags: int | None, is_remote: bool) -> None:
    """The shortcut for `parentbased_always_on` says what the SDK's own says, of roots and below any parent."""
    context = Context()
    if flags is not None:
        state = TraceState([("vendor", "1")])
        parent = SpanContext(1, 2, is_remote=is_remote, trace_flags=TraceFlags(flags), trace_state=state)
        context = set_span_in_context(NonRecordingSpan(parent), context)
    attributes = {"http.route": "/"}
    expected = DEFAULT_ON.should_sample(context, 1, "GET /", attributes=attributes)
    got = AuditSampler(DEFAULT_ON).should_sample(context, 1, "GET /", attributes=attributes)
    assert (got.decision, got.trace_state) == (expected.decision, expected.trace_state)
    assert dict(got.attributes or {}) == dict(expected.attributes or {})


@pytest.mark.parametrize(
    ("argument", "description"),
    [
        (None, "AuditSampler{ParentBased{root:AlwaysOnSampler"),
        ("always_off", "AuditSampler{AlwaysOffSampler}"),
        ("traceidratio=0.5", "AuditSampler{TraceIdRatioBased{0.5}}"),
        ("parentbased_traceidratio=0.1", "AuditSampler{ParentBased{root:TraceIdRatioBased{0.1}"),
        ("0.25", "AuditSampler{ParentBased{root:TraceIdRatioBased{0.25}"),
    ],
)
def test_the_sampler_entry_point_wraps_what_its_argument_names(argument: str | None, description: str) -> None:
    """`OTEL_TRACES_SAMPLER=spanledger` with `OTEL_TRACES_SAMPLER_ARG`."""
    assert audit_sampler(argument).get_description().startswith(description)


def test_a_wrong_sampler_argument_is_one_clear_line(caplog: pytest.LogCaptureFixture) -> None:
    """The application samples as by default."""
    with caplog.at_level(logging.ERROR):
        sampler = audit_sampler("sometimes")
    assert "root:AlwaysOnSampler" in sampler.get_description()
    assert "OTEL_TRACES_SAMPLER_ARG" in caplog.text


def test_the_exporter_alone_records_from_attributes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Constructed without arguments, behind an ordinary batch processor: no intent rows, tier `captured`."""
    monkeypatch.setenv("SPANLEDGER_DIR", str(settings.directory))
    provider = TracerProvider(sampler=TraceIdRatioBased(1))
    provider.add_span_processor(BatchSpanProcessor(SpanLedgerExporter()))
    attributes = {**CHAT, "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'}
    provider.get_tracer("app").start_span("chat", attributes=attributes).end()
    provider.shutdown()
    chain = _only_chain(settings)
    (event,) = chain.events()
    assert (event["capture"]["tier"], event["event_type"]) == ("captured", "model_call")
    assert _text(chain, event["input"][0]) == b"Hi"


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_with_processor_and_exporter_a_span_is_recorded_once(settings: Settings, processor: Any) -> None:
    """Whoever comes first records it, the other sees that; the hand-over's content is never missed."""
    ledger = SpanLedger(settings)
    provider = TracerProvider()
    provider.add_span_processor(processor(SpanLedgerExporter(ledger)))
    process_ledger_module._ledgers[settings.directory] = ledger
    install(provider, settings)
    _call(provider)
    provider.shutdown()
    events = [event for chain in read_spool(settings) for event in chain.events()]
    assert len(events) == len({event["event_id"] for event in events}) == 2
    assert events[-1]["output"]


def test_the_newest_spans_are_remembered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has left the memory is recorded again when it comes again, as a row of the same event."""
    monkeypatch.setattr("spanledger_exporter.otel.ledger.MAX_RECENT", 3)
    ledger = SpanLedger(settings)
    tracer = TracerProvider().get_tracer("app")
    spans = [tracer.start_span(f"chat {number}", attributes=CHAT) for number in range(5)]
    for span in (*spans, *spans[2:], spans[0]):
        assert isinstance(span, ReadableSpan)
        ledger.record_finished(span)
    ledger.close()
    names = [event["name"] for event in _only_chain(settings).events() if event["event_type"] == "model_call"]
    assert names == ["chat 0", "chat 1", "chat 2", "chat 3", "chat 4", "chat 0"]


def test_installing_twice_changes_nothing(settings: Settings) -> None:
    """One processor, one wrapped sampler."""
    provider = _provider(settings)
    sampler = provider.sampler
    assert install(provider, settings) is install(provider, settings)
    assert provider.sampler is sampler


@pytest.mark.parametrize(
    ("exporters", "disabled", "wanted"),
    [("spanledger", "", True), ("otlp,spanledger", "", True), ("otlp", "", False), ("spanledger", "true", False)],
)
def test_the_launcher_installs_the_ledger_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, exporters: str, disabled: str, *, wanted: bool
) -> None:
    """`--traces_exporter` names it, and `OTEL_SDK_DISABLED` switches everything off."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporters)
    monkeypatch.setenv("OTEL_SDK_DISABLED", disabled)
    assert is_wanted() is wanted


class _Unreadable:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("this object answers nothing")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "parts": [{"type": "text", "content": "\ud800 alone"}]},
        {"role": "user", "parts": [{"type": "text", "content": "x" * 20_000_000}]},
        {"role": "user", "parts": [{"type": "tool_call", "arguments": {"n": 2**63, "f": float("nan"), "o": object()}}]},
        {"role": "user", "parts": [{"type": "blob", "mime_type": "image/png", "content": "not base64!"}]},
        {"role": "user", "parts": [{}]},
        {"role": 7, "parts": ["bare text"]},
        {"no": "parts"},
        "only a string",
        None,
        _Unreadable(),
    ],
    ids=[
        "surrogate",
        "20 MB",
        "odd numbers",
        "bad blob",
        "empty part",
        "odd role",
        "no parts",
        "text",
        "none",
        "hostile",
    ],
)
def test_odd_messages_are_recorded_and_never_hurt_the_application(settings: Settings, message: Any) -> None:
    """Both rows exist, as what they are or as `raw`, and the call went on."""
    request = InvocationRequest("chat", "p", "m", input_messages=[message])
    _call(_provider(settings), request=request)
    events = _only_chain(settings).events()
    assert [event["event_id"].endswith(":begin") for event in events] == [True, False]
    assert {event["event_type"] for event in events} <= {"model_call", "raw"}


def test_a_normaliser_that_fails_leaves_a_raw_row(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours costs the row's form, never the row."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("spanledger_exporter.normalise.envelope.Normaliser.end", fail)
    provider = _provider(settings)
    _call(provider)
    _, raw = _only_chain(settings).events()
    assert (raw["event_type"], raw["raw"]["reason"]) == ("raw", "RuntimeError: a bug")
    assert raw["raw"]["data"]


@pytest.mark.parametrize("mode", ["withheld", "none", "redacted"])
def test_what_could_not_be_read_is_content_too(settings: Settings, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where content is not stored as it comes, a `raw` row has no data: rules cannot read what we could not."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("expected something else, got 10.1.2.3")

    monkeypatch.setattr("spanledger_exporter.normalise.envelope.Normaliser.end", fail)
    rule = '[[redact]]\nname = "address"\npattern = "10[.0-9]+"\n'
    (settings.directory / "spanledger.toml").write_text(rule if mode == "redacted" else "")
    tracer = _provider(settings_for(settings.directory, CONTENT="full" if mode == "redacted" else mode)).get_tracer(
        "app"
    )
    tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.input.messages": "10.1.2.3"}).end()
    chain = _only_chain(settings)
    raw = chain.events()[-1]["raw"]
    assert (raw["reason"], raw["withheld"], "data" in raw) == ("RuntimeError", True, False)
    assert ("sha256" in raw) is (mode != "none")


def test_rules_reach_what_has_no_json_form(settings: Settings) -> None:
    """Arguments that contain themselves are kept as Python writes them, after the rules."""
    (settings.directory / "spanledger.toml").write_text('[[redact]]\nname = "address"\npattern = "10[.0-9]+"\n')
    arguments: dict[str, Any] = {"host": "10.1.2.3"}
    arguments["self"] = arguments
    message = {"role": "assistant", "parts": [{"type": "tool_call", "name": "ping", "arguments": arguments}]}
    request = InvocationRequest("chat", "p", "m", input_messages=[message])
    _call(_provider(settings_for(settings.directory)), request=request)
    chain = _only_chain(settings)
    (item,) = chain.events()[0]["input"]
    assert item["redacted"] == ["address"]
    assert b"[redacted:address]" in (_text(chain, item) or b"")
    assert b"10.1.2.3" not in chain.spool.path(0).read_bytes()


def test_structured_events_have_their_bodies(settings: Settings) -> None:
    """Decisions and actions that any language can emit as plain span attributes."""
    tracer = _provider(settings).get_tracer("app")
    decision: dict[str, Any] = {
        "spanledger.event.type": "decision",
        "spanledger.decision.name": "route",
        "spanledger.decision.policy.version": "7",
        "spanledger.decision.rationale": "two prior alerts",
        "spanledger.decision.confidence": 0.62,
    }
    tracer.start_span("decision", attributes=decision).end()
    action: dict[str, Any] = {
        "spanledger.event.type": "external_action",
        "spanledger.action.idempotency_key": "refund-1",
    }
    tracer.start_span("refund", attributes=action).end()
    chain = _only_chain(settings)
    decided, begun, done = chain.events()
    assert decided["decision"] == {"name": "route", "policy": {"version": "7"}, "confidence": "0.62"}
    assert (decided["confidence"], _text(chain, decided["output"][0])) == ("0.62", b"two prior alerts")
    assert begun["event_id"].endswith(":begin")
    assert done["idempotency_key"] == "refund-1"


def test_a_span_that_is_never_ended_is_let_go(settings: Settings) -> None:
    """Its intent row stands alone, and its content does not stay in memory."""
    provider = _provider(settings)
    processor = install(provider, settings)
    assert processor
    span: ReadableSpan | None = provider.get_tracer("app").start_span("chat", attributes=CHAT)  # type: ignore[assignment]
    assert len(processor.ledger._open) == 1
    del span
    assert processor.ledger._open == {}
