"""Steps of an application that no client library shows: tools, retrievals, agents, workflows, prompts.

    @tool("lookup_customer", version="3")
    def lookup(id: int) -> dict: …              # its row has arguments and result

    with retrieval("policies", version="2026-11-01", query=question) as step:
        step.result = index.search(question)    # one content reference per document

    with agent("triage", version="2"): …        # the calls inside have this agent as their actor

Rules
- Each is a context manager and a decorator of any kind of function; a decorated function's arguments and return value
  are the content, taken as they were when the call began and ended.
- Each makes one span with the names of the GenAI conventions, and works without the exporter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar

from spanledger.business_context import BusinessContext
from spanledger.business_context import actor as acting
from spanledger.decorated import decorated, refuse_bare
from spanledger.event_span import EventSpan, json_value
from spanledger.invocation.deferred import Deferred
from spanledger_semconv import attributes as keys

Function = TypeVar("Function", bound=Callable[..., Any])
Messages = Sequence[Mapping[str, Any]]
ToMessages = Callable[[Any], list[dict[str, Any]]]


class Step:
    """A block of work with its span. `result` is what came of it; set it inside a `with`."""

    wants_items = True

    def __init__(
        self,
        name: str,
        *,
        operation: str,
        attributes: Mapping[str, Any],
        to_inputs: ToMessages,
        to_outputs: ToMessages,
        given: Any = None,
        inside: BusinessContext | None = None,
    ) -> None:
        self._name = name
        self._operation = operation
        self._attributes = attributes
        self._to_inputs = to_inputs
        self._to_outputs = to_outputs
        self._given = given
        self._inside = inside
        self._span: EventSpan | None = None
        self._stack = ExitStack()
        self.result: Any = None

    @property
    def event_id(self) -> str:
        """The id that the step's row has; only inside the block."""
        return self._span.event_id if self._span is not None else ""

    def __enter__(self) -> Self:
        self.start(None if self._given is None else lambda: self._given)
        self._stack.enter_context(self.current())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is None:
            self.succeed(self.result)
        else:
            self.fail(error)

    def __call__(self, function: Function) -> Function:
        """Return `function` with a step of its own around each of its calls."""

        def make_block(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
            step = self._copy()
            step.start(lambda: arguments_of(function, args, kwargs))
            return step

        return decorated(function, make_block)

    def _copy(self) -> Step:
        return Step(
            self._name,
            operation=self._operation,
            attributes=self._attributes,
            to_inputs=self._to_inputs,
            to_outputs=self._to_outputs,
            inside=self._inside,
        )

    def start(self, given: Callable[[], Any] | None = None) -> None:
        """Start the span; `given()` is what the step works on."""
        # Deferred: without a reader of the hand-over nobody pays for the snapshot.
        inputs: Messages = () if given is None else Deferred(lambda: self._to_inputs(json_value(given())))
        with self._context():
            self._span = EventSpan(self._name, self._attributes, operation=self._operation, inputs=inputs)

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the step's span and context current for the length of a `with`."""
        assert self._span is not None  # noqa: S101 - a step is started before it is current
        with self._span.current(), self._context():
            yield

    def _context(self) -> AbstractContextManager[object]:
        return ExitStack() if self._inside is None else self._inside.entered()

    def succeed(self, value: Any) -> None:
        """End the step with its result."""
        assert self._span is not None  # noqa: S101 - as above
        self._span.end(() if value is None else Deferred(lambda: self._to_outputs(json_value(_opened(value)))))

    def fail(self, error: BaseException) -> None:
        """End the step with an exception."""
        assert self._span is not None  # noqa: S101 - as above
        self._span.fail(error)


def tool(
    name: str,
    *,
    version: str | None = None,
    description: str | None = None,
    call_id: str | None = None,
    arguments: Any = None,
) -> Step:
    """Record a tool call: what it was called with, what it gave back, which version of it."""
    refuse_bare(name)
    attributes = {
        keys.GEN_AI_TOOL_NAME: name,
        keys.GEN_AI_TOOL_TYPE: "function",
        keys.GEN_AI_TOOL_DESCRIPTION: description,
        keys.GEN_AI_TOOL_CALL_ID: call_id,
        keys.SPANLEDGER_TOOL_VERSION: version,
    }
    identity = {} if call_id is None else {"id": call_id}
    return Step(
        f"execute_tool {name}",
        operation="execute_tool",
        attributes=attributes,
        to_inputs=lambda given: _message(
            "assistant", {"type": "tool_call", **identity, "name": name, "arguments": given}
        ),
        to_outputs=lambda value: _message("tool", {"type": "tool_call_response", **identity, "response": value}),
        given=arguments,
    )


def retrieval(
    index: str, *, version: str | None = None, digest: str | None = None, top_k: int | None = None, query: Any = None
) -> Step:
    """Record a retrieval: the query, the documents found, which version of which index."""
    refuse_bare(index)
    attributes = {
        keys.GEN_AI_DATA_SOURCE_ID: index,
        keys.GEN_AI_RETRIEVAL_TOP_K: top_k,
        keys.SPANLEDGER_RETRIEVAL_INDEX_NAME: index,
        keys.SPANLEDGER_RETRIEVAL_INDEX_VERSION: version,
        keys.SPANLEDGER_RETRIEVAL_INDEX_DIGEST: digest,
    }
    return Step(
        f"retrieval {index}",
        operation="retrieval",
        attributes=attributes,
        to_inputs=lambda given: _message("user", _text_or_json(_query_of(given))),
        to_outputs=lambda value: _message("retrieval", *map(_document, value if isinstance(value, list) else [value])),
        given=query,
    )


def agent(
    name: str,
    *,
    version: str | None = None,
    id: str | None = None,  # noqa: A002 - the word that callers expect
    description: str | None = None,
    input: Any = None,  # noqa: A002
) -> Step:
    """Record an agent's run; the calls inside have this agent as their actor."""
    refuse_bare(name)
    attributes = {
        keys.GEN_AI_AGENT_NAME: name,
        keys.GEN_AI_AGENT_ID: id,
        keys.GEN_AI_AGENT_VERSION: version,
        keys.GEN_AI_AGENT_DESCRIPTION: description,
    }
    inside = acting(id or name, type="agent")
    return _conversation(f"invoke_agent {name}", "invoke_agent", attributes, given=input, inside=inside)


def workflow(name: str, *, version: str | None = None, id: str | None = None, input: Any = None) -> Step:  # noqa: A002
    """Record a workflow's run; the calls inside carry its id and version."""
    refuse_bare(name)
    attributes = {keys.GEN_AI_WORKFLOW_NAME: name}
    inside = BusinessContext({keys.SPANLEDGER_WORKFLOW_ID: id or name, keys.SPANLEDGER_WORKFLOW_VERSION: version})
    return _conversation(f"invoke_workflow {name}", "invoke_workflow", attributes, given=input, inside=inside)


def prompt(
    name: str, *, version: str | None = None, template: str | None = None, propagate: bool = True
) -> BusinessContext:
    """Say which prompt the calls inside use; with `template`, its text is kept as an artifact beside each call."""
    values = {
        keys.GEN_AI_PROMPT_NAME: name,
        keys.GEN_AI_PROMPT_VERSION: version,
        keys.SPANLEDGER_PROMPT_TEMPLATE: template,
        keys.SPANLEDGER_PROMPT_MATCH: "declared",
    }
    return BusinessContext(values, propagate=propagate)


def _conversation(
    name: str, operation: str, attributes: Mapping[str, Any], *, given: Any, inside: BusinessContext
) -> Step:
    return Step(
        name,
        operation=operation,
        attributes=attributes,
        to_inputs=lambda given: _message("user", _text_or_json(given)),
        to_outputs=lambda value: _message("assistant", _text_or_json(value)),
        given=given,
        inside=inside,
    )


def _message(role: str, *parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "parts": list(parts)}]


def _text_or_json(value: Any) -> dict[str, Any]:
    return {"type": "text" if isinstance(value, str) else "json", "content": value}


def _document(value: Any) -> dict[str, Any]:
    return {**value, "type": "document"} if isinstance(value, dict) else {"type": "document", "content": value}


def _opened(value: Any) -> Any:
    """Return documents of LangChain's shape (`page_content`, `metadata`) as objects; other values as they are."""
    if isinstance(value, list) and value and all(hasattr(item, "page_content") for item in value):
        return [{"content": item.page_content, "metadata": getattr(item, "metadata", None)} for item in value]
    return value


def _query_of(given: Any) -> Any:
    """Return a search function's query: its `query`, or its only argument."""
    if not isinstance(given, dict):
        return given
    if "query" in given:
        return given["query"]
    return next(iter(given.values())) if len(given) == 1 else given


def arguments_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name, without the instance of a method."""
    try:
        bound = _signature(function).bind(*args, **kwargs).arguments
    except TypeError:  # the call itself will raise the same, in the application's own words
        return {"args": list(args), "kwargs": dict(kwargs)}
    return {name: value for name, value in bound.items() if name not in ("self", "cls")}


@lru_cache(maxsize=512)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)
