"""The public API with nothing but OpenTelemetry: spans for tracing backends, or nothing at all."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import spanledger
from spanledger import actor, agent, case, decision, external_action, review, session, tool


def test_a_tool_span_has_the_names_of_the_conventions(spans: Any) -> None:
    """Any backend that knows GenAI spans shows it."""
    with case("C-1"), tool("lookup", version="3"):
        pass
    (span,) = spans()
    assert span.name == "execute_tool lookup"
    assert span.attributes["gen_ai.operation.name"] == "execute_tool"
    assert span.attributes["gen_ai.tool.name"] == "lookup"
    assert span.attributes["spanledger.case.id"] == "C-1"


def test_content_stays_off_spans_unless_the_user_wants_it_there(spans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variable decides."""

    @tool("lookup")
    def lookup(name: str) -> str:
        return name

    lookup("Ada")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    lookup("Ada")
    without, with_content = (str(dict(span.attributes)) for span in spans())
    assert "Ada" not in without
    assert "Ada" in with_content


def test_reasoning_and_drafts_stay_off_spans(spans: Any) -> None:
    """A person's words go to the ledger only."""
    review(reviewer="m", action="edit", draft="Close it.", final="Keep it.", reasoning="two prior alerts")
    decision("route", result="close", rationale="two prior alerts")
    assert not any(word in str(dict(span.attributes)) for span in spans() for word in ("prior", "Close", "Keep"))


def test_the_served_persons_id_stays_off_spans(spans: Any) -> None:
    """Rows hold a token for it; a tracing backend gets nothing."""
    with session("s", user="u-7"), agent("sorter"):
        pass
    (span,) = spans()
    assert span.attributes["spanledger.session.id"] == "s"
    assert "u-7" not in str(dict(span.attributes))


def test_an_exception_marks_the_span_and_passes_through(spans: Any) -> None:
    """Status and type as OpenTelemetry wants them."""
    with pytest.raises(ValueError, match="no"), external_action("refund"):
        raise ValueError("no")
    (span,) = spans()
    assert span.attributes["error.type"] == "ValueError"
    assert not span.status.is_ok


def test_without_any_sdk_everything_still_runs() -> None:
    """Spans that go nowhere cost next to nothing and break nothing."""
    code = (
        "from spanledger import case, actor, decision, review, tool, external_action\n"
        "with case('C-1'), actor('bot'), external_action('x') as action:\n"
        "    action.done(status='ok')\n"
        "decision('d', result='r'); review(reviewer='m', action='approve')\n"
        "assert tool('t')(lambda x: x + 1)(1) == 2\n"
        "import sys; sys.exit('spanledger_exporter' in sys.modules or 'opentelemetry.sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_imports_nothing_else() -> None:
    """Names are loaded when they are first used."""
    others = ("opentelemetry", "spanledger.", "openai")
    code = f"import sys, spanledger; sys.exit(any(name.startswith({others}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_exported_name_exists_and_every_public_one_is_exported() -> None:
    """`__all__`, the lazy table and the modules agree."""
    assert list(spanledger.__all__) == sorted(spanledger.__all__)
    assert set(spanledger.__all__) == set(spanledger._HOME_OF)
    for name in spanledger.__all__:
        assert getattr(spanledger, name).__name__ == name
    assert set(spanledger.__all__) <= set(dir(spanledger))
    with pytest.raises(AttributeError, match="no attribute 'gossip'"):
        spanledger.gossip  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue, reportUnusedExpression]


def test_the_actor_of_an_agent_is_the_agent(spans: Any) -> None:
    """The span says so as well."""
    with actor("ada", type="user"), agent("sorter", id="a-1"):
        pass
    assert spans()[0].attributes["spanledger.actor.id"] == "a-1"
