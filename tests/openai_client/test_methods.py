"""Each method of the SDK, and each way to its answer: one span, one hand-over, the same figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest

from local_provider import LocalProvider, Reply
from openai_client.conftest import CALL, MODEL
from recorded_calls import Recorded

REPORTED = {"input_tokens": 12, "output_tokens": 6}
ASK: dict[str, Any] = {"model": MODEL, "input": "Is the alert real?"}


def chat(client: openai.OpenAI) -> None:
    """Ask for a chat completion."""
    client.chat.completions.create(**CALL)


def chat_streamed(client: openai.OpenAI) -> None:
    """Read it as a stream."""
    list(client.chat.completions.create(**CALL, stream=True))


def chat_stream_helper(client: openai.OpenAI) -> None:
    """Use the SDK's stream helper."""
    with client.chat.completions.stream(**CALL) as stream:
        stream.get_final_completion()


def chat_raw(client: openai.OpenAI) -> None:
    """Parse a raw response."""
    assert client.chat.completions.with_raw_response.create(**CALL).parse().choices


def chat_raw_unparsed(client: openai.OpenAI) -> None:
    """Look at the headers only."""
    assert client.chat.completions.with_raw_response.create(**CALL).headers


def chat_raw_streamed(client: openai.OpenAI) -> None:
    """Parse a raw response into a stream."""
    list(client.chat.completions.with_raw_response.create(**CALL, stream=True).parse())


def chat_lazy(client: openai.OpenAI) -> None:
    """Parse an answer whose body is not read yet."""
    with client.chat.completions.with_streaming_response.create(**CALL) as response:
        assert response.parse().choices


def chat_lazy_bytes(client: openai.OpenAI) -> None:
    """Read the bytes and never parse."""
    with client.chat.completions.with_streaming_response.create(**CALL) as response:
        assert response.read()


def responses(client: openai.OpenAI) -> None:
    """Ask the Responses API."""
    client.responses.create(**ASK)


def responses_streamed(client: openai.OpenAI) -> None:
    """Read its events."""
    list(client.responses.create(**ASK, stream=True))


def responses_stream_helper(client: openai.OpenAI) -> None:
    """Use its stream helper."""
    with client.responses.stream(**ASK) as stream:
        stream.get_final_response()


def responses_raw(client: openai.OpenAI) -> None:
    """Parse its raw response."""
    assert client.responses.with_raw_response.create(**ASK).parse().output


def completion(client: openai.OpenAI) -> None:
    """Ask for a text completion."""
    client.completions.create(model=MODEL, prompt="Is the alert real?")


def completion_streamed(client: openai.OpenAI) -> None:
    """Read it as a stream."""
    list(client.completions.create(model=MODEL, prompt="Is the alert real?", stream=True))


@pytest.mark.parametrize(
    "ask",
    [
        chat,
        chat_streamed,
        chat_stream_helper,
        chat_raw,
        chat_raw_unparsed,
        chat_raw_streamed,
        chat_lazy,
        chat_lazy_bytes,
        responses,
        responses_streamed,
        responses_stream_helper,
        responses_raw,
    ],
)
def test_every_way_to_an_answer_is_one_call(
    client: openai.OpenAI, recorded: Recorded, ask: Callable[[openai.OpenAI], None]
) -> None:
    """The same usage, question and answer, whatever method asked."""
    ask(client)
    assert recorded.usage == REPORTED
    assert (recorded.result.outcome, list(recorded.result.finish_reasons)) == ("success", ["stop"])
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]
    assert recorded.result.output_messages[0]["parts"][0]["content"].startswith("Hello")
    assert recorded.attributes["gen_ai.request.model"] == recorded.attributes["gen_ai.response.model"] == MODEL


@pytest.mark.parametrize("ask", [completion, completion_streamed])
def test_a_legacy_completion_is_recorded_like_a_chat(
    client: openai.OpenAI, recorded: Recorded, ask: Callable[[openai.OpenAI], None]
) -> None:
    """Its prompt is the user's message."""
    ask(client)
    assert recorded.span.name == f"text_completion {MODEL}"
    assert recorded.usage == {"input_tokens": 4, "output_tokens": 3}
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]
    assert recorded.result.output_messages[0]["parts"][0]["content"]


async def test_async_methods_are_the_same(async_client: openai.AsyncOpenAI, recorded: Recorded) -> None:
    """Whole, streamed, raw, lazy, responses and embeddings."""
    await async_client.chat.completions.create(**CALL)
    async for _chunk in await async_client.chat.completions.create(**CALL, stream=True):
        pass
    (await async_client.chat.completions.with_raw_response.create(**CALL)).parse()
    async with async_client.chat.completions.with_streaming_response.create(**CALL) as response:
        await response.parse()
    async with async_client.responses.stream(**ASK) as stream:
        await stream.get_final_response()
    await async_client.embeddings.create(model=MODEL, input="x")
    results = [call.result for call in recorded.handed_over]
    assert [result and result.outcome for result in results] == ["success"] * 6
    assert [result and result.usage and result.usage.input_tokens for result in results[:5]] == [12] * 5


def test_embeddings_hand_over_their_input_and_count_their_dimensions(client: openai.OpenAI, recorded: Recorded) -> None:
    """The vectors themselves are kept nowhere."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=["first", "second"])
    assert recorded.span.name == "embeddings text-embedding-3-small"
    assert [part["content"] for part in recorded.request.input_messages[0]["parts"]] == ["first", "second"]
    assert recorded.attributes["gen_ai.embeddings.dimension.count"] == len(answer.data[0].embedding)


class Verdict(pydantic.BaseModel):
    """What the caller wants the model to write."""

    is_real: bool


def structured(text: str) -> Reply:
    """Answer with `text`."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice], "usage": usage}
    return Reply(body=body)


def test_structured_output_is_recorded_as_it_was_written(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """`parse()` gives the caller a typed answer."""
    provider.enqueue(structured('{"is_real": true}'))
    answer = client.chat.completions.parse(**CALL, response_format=Verdict)
    assert answer.choices[0].message.parsed == Verdict(is_real=True)
    assert recorded.attributes["gen_ai.output.type"] == "json"
    assert recorded.result.output_messages[0]["parts"][0]["content"] == '{"is_real": true}'


def test_an_answer_that_does_not_fit_the_callers_format_was_paid_for_all_the_same(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """The caller sees its validation error; the record has answer and usage."""
    provider.enqueue(structured('{"is_real": "perhaps"}'))
    with pytest.raises(pydantic.ValidationError):
        client.chat.completions.parse(**CALL, response_format=Verdict)
    assert recorded.result.outcome == "error"
    assert recorded.usage == REPORTED


def test_a_reusable_prompt_is_named_by_id_and_version(client: openai.OpenAI, recorded: Recorded) -> None:
    """`prompt={id, version}` becomes the conventions' prompt attributes."""
    client.responses.create(model=MODEL, prompt={"id": "pmpt_triage", "version": "7"}, input="x")
    assert recorded.attributes["gen_ai.prompt.name"] == "pmpt_triage"
    assert recorded.attributes["gen_ai.prompt.version"] == "7"


def test_parameters_that_were_sent_are_on_the_span_and_no_others(client: openai.OpenAI, recorded: Recorded) -> None:
    """Also when the SDK's marker for `not given` is passed on."""
    client.chat.completions.create(
        **CALL, temperature=0.2, max_completion_tokens=99, stop="END", seed=7, reasoning_effort="low", top_p=openai.omit
    )
    sent = {name: value for name, value in recorded.attributes.items() if name.startswith("gen_ai.request.")}
    assert sent == {
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.reasoning.level": "low",
    }


@pytest.mark.parametrize(
    ("make", "provider_name", "address"),
    [
        (lambda: openai.OpenAI(api_key="x", base_url="https://api.deepseek.com/v1"), "deepseek", "api.deepseek.com"),
        (lambda: openai.OpenAI(api_key="x", base_url="https://llm.example.org:8443/v1"), "openai", "llm.example.org"),
        (
            lambda: openai.AzureOpenAI(
                api_key="x", api_version="2025-01-01", azure_endpoint="https://acme.openai.azure.com"
            ),
            "azure.ai.openai",
            "acme.openai.azure.com",
        ),
    ],
)
def test_the_span_names_the_service_that_is_asked(
    recorded: Recorded, make: Callable[[], openai.OpenAI], provider_name: str, address: str
) -> None:
    """By the client's base URL; nothing answers there, which is no matter."""
    with make() as client, pytest.raises(openai.APIError):
        client.with_options(max_retries=0, timeout=0.01).chat.completions.create(**CALL)
    assert recorded.attributes["gen_ai.provider.name"] == provider_name
    assert recorded.attributes["server.address"] == address


LOOKUP: Any = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Looks an address up.",
        "parameters": {"type": "object", "properties": {"ip": {"type": "string"}}},
    },
}


def test_a_tool_has_a_digest_that_changes_with_its_definition(client: openai.OpenAI, recorded: Recorded) -> None:
    """No client knows a tool's version; the digest of its definition is one."""
    changed = json.loads(json.dumps(LOOKUP))
    changed["function"]["description"] = "Looks an address up, twice."
    reordered: Any = {"function": dict(reversed(LOOKUP["function"].items())), "type": "function"}
    for tool in (LOOKUP, changed, reordered):
        client.chat.completions.create(**CALL, tools=[tool])
    first, second, third = (call.request.tools["lookup"] for call in recorded.handed_over)
    assert first == third != second
    assert (recorded.spans[0].attributes or {})["spanledger.tool.digests"] == (f"lookup={first}",)


def test_a_prompt_has_a_digest_that_changes_with_its_instructions_only(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """What the user says does not change which prompt it was."""

    def ask(instructions: str, question: str) -> None:
        messages: list[Any] = [{"role": "system", "content": instructions}, {"role": "user", "content": question}]
        client.chat.completions.create(model=MODEL, messages=messages)

    ask("Be brief.", "One?")
    ask("Be brief.", "Two?")
    ask("Be long.", "One?")
    first, second, third = (call.request.prompt and call.request.prompt.digest for call in recorded.handed_over)
    assert first == second != third


def test_the_call_site_is_the_applications_own(client: openai.OpenAI, recorded: Recorded) -> None:
    """Also through the SDK's own helpers."""
    client.chat.completions.with_raw_response.create(**CALL)
    site = recorded.request.call_site
    assert site is not None
    assert site.function == "test_the_call_site_is_the_applications_own"
    assert recorded.attributes["spanledger.call_site.module"] == __name__


async def test_the_call_site_is_known_inside_a_task(async_client: openai.AsyncOpenAI, recorded: Recorded) -> None:
    """A task has no caller on its stack; the method had."""
    import asyncio

    await asyncio.create_task(async_client.chat.completions.create(**CALL))
    site = recorded.request.call_site
    assert site is not None
    assert site.function == "test_the_call_site_is_known_inside_a_task"


def test_a_fetched_response_is_no_inference(client: openai.OpenAI, recorded: Recorded) -> None:
    """Its tokens were counted when it was made."""
    made = client.responses.create(**ASK)
    client.responses.retrieve(made.id)
    fetched = recorded.spans[1]
    assert fetched.name == "fetch_response"
    assert (fetched.attributes or {})["gen_ai.response.id"] == made.id
    assert not any(".usage." in name for name in fetched.attributes or {})


@pytest.mark.parametrize("is_stream", [False, True])
def test_messages_and_tools_that_can_be_read_once_are_sent_and_recorded(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded, is_stream: bool
) -> None:
    """The SDK takes an iterator; the ledger has to show what the model saw."""
    tool = {"type": "function", "function": {"name": "whois", "parameters": {"type": "object"}}}
    create: Any = client.chat.completions.create
    answer = create(model=MODEL, messages=iter(CALL["messages"]), tools=(one for one in [tool]), stream=is_stream)
    if is_stream:
        list(answer)
    body = provider.requests[0].body
    assert (body["messages"], body["tools"]) == (CALL["messages"], [tool])
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]
    assert list(recorded.request.tools) == ["whois"]


async def test_input_that_can_be_read_once_is_sent_and_recorded(
    async_client: openai.AsyncOpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """Of responses likewise."""
    items: list[Any] = [{"role": "user", "content": "Is the alert real?"}]
    create: Any = async_client.responses.create
    await create(model=MODEL, input=iter(items))
    assert provider.requests[0].body["input"] == items
    assert recorded.request.input_messages[0]["parts"] == [{"type": "text", "content": "Is the alert real?"}]


def test_an_iterator_that_fails_fails_for_the_caller(
    client: openai.OpenAI, provider: LocalProvider, recorded: Recorded
) -> None:
    """As without us: its exception comes out, nothing is sent, and there is no call to record."""

    def turns() -> Iterator[Any]:
        yield from CALL["messages"]
        raise LookupError("of the application")

    with pytest.raises(LookupError, match="of the application"):
        client.chat.completions.create(model=MODEL, messages=turns())
    assert (provider.requests, recorded.spans) == ((), [])
