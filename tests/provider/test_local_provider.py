"""The local provider: the real SDKs talk to it and see what they see from the real service."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest

from local_provider import Event, LocalProvider, Reply, anthropic_wire, openai_responses_wire, openai_wire


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    """Run a provider for one test."""
    with LocalProvider() as running:
        yield running


@pytest.fixture
def openai_client(provider: LocalProvider) -> Iterator[openai.OpenAI]:
    """Connect the real SDK to it."""
    with openai.OpenAI(base_url=provider.openai_url, api_key="local", timeout=5) as client:
        yield client


@pytest.fixture
def anthropic_client(provider: LocalProvider) -> Iterator[anthropic.Anthropic]:
    """Connect the real SDK to it."""
    with anthropic.Anthropic(base_url=provider.url, api_key="local", timeout=5) as client:
        yield client


HELLO = "Hello from the local provider."
ASK = [{"role": "user", "content": "Hi"}]


class TestOpenAI:
    def test_a_chat_completion_has_text_and_usage(self, openai_client: openai.OpenAI) -> None:
        """The default answer names the model that was asked for."""
        answer = openai_client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
        assert (answer.choices[0].message.content, answer.model) == (HELLO, "gpt-5-mini")
        assert answer.usage
        assert answer.usage.prompt_tokens == 12

    @pytest.mark.parametrize("wants_usage", [True, False])
    def test_a_chat_stream_ends_with_usage_only_when_asked(
        self, openai_client: openai.OpenAI, *, wants_usage: bool
    ) -> None:
        """`stream_options.include_usage` decides, as with the real service."""
        chunks = list(
            openai_client.chat.completions.create(
                model="gpt-5-mini",
                messages=[{"role": "user", "content": "Hi"}],
                stream=True,
                stream_options={"include_usage": wants_usage},
            )
        )
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        assert text == HELLO
        assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [wants_usage]

    def test_the_streaming_helper_rebuilds_a_tool_call(
        self, provider: LocalProvider, openai_client: openai.OpenAI
    ) -> None:
        """Argument text arrives in pieces and adds up."""
        call = openai_wire.tool_call("call_1", "lookup", '{"user": "ada lovelace"}')
        provider.enqueue(Reply(body=openai_wire.chat_completion(None, tool_calls=[call])))
        with openai_client.chat.completions.stream(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}]
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.tool_calls
        assert message.tool_calls[0].model_dump(include={"id", "function"}) == {
            "id": "call_1",
            "function": {"name": "lookup", "arguments": '{"user": "ada lovelace"}', "parsed_arguments": None},
        }

    def test_a_response_stream_is_numbered_and_ends_with_the_whole_response(
        self, provider: LocalProvider, openai_client: openai.OpenAI
    ) -> None:
        """The SDK's own state machine accepts text, reasoning and function calls, and returns what was sent."""
        output = [
            openai_responses_wire.reasoning_item("Think first."),
            openai_responses_wire.message_item("Then say it."),
            openai_responses_wire.function_call_item("call_1", "lookup", '{"user": "ada"}'),
        ]
        provider.enqueue(Reply(body=openai_responses_wire.response(output)))
        with openai_client.responses.stream(model="gpt-5-mini", input="Hi") as stream:
            numbers = [event.sequence_number for event in stream if hasattr(event, "sequence_number")]
            final = stream.get_final_response()
        assert numbers == list(range(len(numbers)))
        assert (final.output_text, [item.type for item in final.output]) == (
            "Then say it.",
            ["reasoning", "message", "function_call"],
        )

    def test_a_response_is_fetched_under_its_id(self, openai_client: openai.OpenAI) -> None:
        """`retrieve` is a GET."""
        assert openai_client.responses.retrieve("resp_local").id == "resp_local"

    def test_embeddings_come_in_the_encoding_the_sdk_asks_for(self, openai_client: openai.OpenAI) -> None:
        """The SDK asks for base64 and decodes it."""
        answer = openai_client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert [row.embedding for row in answer.data] == [[0.25, -0.5, 1.0], [0.25, -0.5, 2.0]]

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_legacy_completion_comes_whole_or_in_pieces(self, openai_client: openai.OpenAI, *, stream: bool) -> None:
        """Both forms add up to the same text."""
        model = "gpt-3.5-turbo-instruct"
        if stream:
            chunks = openai_client.completions.create(model=model, prompt="Hi", stream=True)
            text = "".join(chunk.choices[0].text for chunk in chunks)
        else:
            text = openai_client.completions.create(model=model, prompt="Hi").choices[0].text
        assert text == "Hello again."


class TestAnthropic:
    def test_a_message_carries_its_request_id(self, anthropic_client: anthropic.Anthropic) -> None:
        """The id travels in the `request-id` header."""
        answer = anthropic_client.messages.create(
            model="claude-sonnet-5", max_tokens=99, messages=[{"role": "user", "content": "Hi"}]
        )
        assert answer._request_id == "req_local_0001"
        assert answer.usage.output_tokens == 6

    def test_a_stream_opens_with_a_placeholder_and_ends_with_the_true_count(
        self, provider: LocalProvider, anthropic_client: anthropic.Anthropic
    ) -> None:
        """Thinking, text, tool use and server tools pass through the SDK's own state machine."""
        content = [
            anthropic_wire.thinking_block("Let me see."),
            anthropic_wire.text_block("I will look."),
            anthropic_wire.tool_use_block("toolu_1", "lookup", {"user": "ada lovelace"}),
            anthropic_wire.tool_use_block("srvtoolu_1", "web_search", {"query": "x"}, server=True),
        ]
        usage = anthropic_wire.message_usage(10, 42, cache_read=100, cache_write=7)
        provider.enqueue(Reply(body=anthropic_wire.message(content, usage=usage)))
        with anthropic_client.messages.stream(
            model="claude-sonnet-5", max_tokens=99, messages=[{"role": "user", "content": "Hi"}]
        ) as stream:
            events = list(stream)
            final = stream.get_final_message()
        start = next(event for event in events if event.type == "message_start")
        assert (start.message.usage.input_tokens, start.message.usage.output_tokens) == (10, 1)
        assert final.usage.output_tokens == 42
        assert [block.type for block in final.content] == ["thinking", "text", "tool_use", "server_tool_use"]

    def test_tokens_are_counted(self, anthropic_client: anthropic.Anthropic) -> None:
        """`count_tokens` has an endpoint of its own."""
        count = anthropic_client.messages.count_tokens(
            model="claude-sonnet-5", messages=[{"role": "user", "content": "Hi"}]
        )
        assert count.input_tokens > 0


class TestFaults:
    def test_a_rate_limit_is_retried_after_the_time_it_names(
        self, provider: LocalProvider, openai_client: openai.OpenAI
    ) -> None:
        """The SDK's own retry reads `retry-after-ms`."""
        provider.enqueue(Reply(status=429, headers={"retry-after-ms": "1"}))
        openai_client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}])
        assert len(provider.requests) == 2

    @pytest.mark.parametrize(
        ("status", "error"),
        [(401, anthropic.AuthenticationError), (404, anthropic.NotFoundError), (500, anthropic.InternalServerError)],
    )
    def test_a_status_becomes_the_sdks_error(
        self, provider: LocalProvider, anthropic_client: anthropic.Anthropic, status: int, error: type[Exception]
    ) -> None:
        """The body has the shape that the SDK reads."""
        provider.enqueue(Reply(status=status))
        with pytest.raises(error, match=f"told to answer {status}"):
            anthropic_client.with_options(max_retries=0).messages.create(
                model="claude-sonnet-5", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
            )

    def test_a_hanging_request_times_out(self, provider: LocalProvider, openai_client: openai.OpenAI) -> None:
        """Nothing is ever sent."""
        provider.enqueue(Reply(hang=True))
        with pytest.raises(openai.APITimeoutError):
            openai_client.with_options(max_retries=0, timeout=0.05).chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}]
            )

    @pytest.mark.parametrize("events", [0, 3])
    def test_a_reset_drops_the_connection_after_so_many_events(
        self, provider: LocalProvider, openai_client: openai.OpenAI, events: int
    ) -> None:
        """The client sees a broken connection, not an end."""
        provider.enqueue(Reply(reset_after_events=events))
        stream_client = openai_client.with_options(max_retries=0)
        seen: list[object] = []

        def call() -> None:
            stream = stream_client.chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
            seen.extend(stream)

        with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
            call()

    def test_malformed_json_breaks_off_in_the_middle(self, provider: LocalProvider) -> None:
        """Half a document is sent with a length that fits it."""
        provider.enqueue(Reply(malformed=True))
        with pytest.raises(json.JSONDecodeError):
            httpx2.post(f"{provider.openai_url}/chat/completions", json={"model": "m"}).json()

    def test_a_held_stream_goes_on_when_released(self, provider: LocalProvider, openai_client: openai.OpenAI) -> None:
        """A test decides when the next chunk comes, so that it needs no sleep."""
        provider.enqueue(Reply(hold_after_events=2))
        stream = openai_client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        first = [next(stream), next(stream)]
        provider.release()
        assert len(first) + len(list(stream)) > 3

    def test_closing_ends_a_hanging_connection(self) -> None:
        """No test waits for a client that waits for the server."""
        provider = LocalProvider()
        provider.enqueue(Reply(hang=True))
        failures: list[Exception] = []

        def ask() -> None:
            try:
                httpx2.post(f"{provider.openai_url}/chat/completions", json={}, timeout=5)
            except httpx2.TransportError as error:
                failures.append(error)

        client = threading.Thread(target=ask)
        client.start()
        provider.wait_for_requests(1)
        provider.close()
        client.join(5)
        assert len(failures) == 1

    def test_an_exact_stream_can_be_given(self, provider: LocalProvider, openai_client: openai.OpenAI) -> None:
        """`events` are sent as they are, whatever they are."""
        provider.enqueue(Reply(events=[Event({"error": {"message": "overloaded"}}), Event("[DONE]")]))
        stream = openai_client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="overloaded"):
            list(stream)


class TestTranscript:
    def test_exchanges_of_one_request_are_used_one_after_the_other(self, tmp_path: Path) -> None:
        """An error followed by an answer is two exchanges; the last one stays."""
        request = {"path": "/v1/chat/completions", "contains": ["alert 7"]}
        answer = {"body": openai_wire.chat_completion("triaged")}
        file = tmp_path / "transcript.json"
        exchanges = [{"request": request, "reply": {"status": 503}}, {"request": request, "reply": answer}]
        file.write_text(json.dumps({"title": "t", "exchanges": exchanges}))
        body = {"model": "m", "messages": [{"role": "user", "content": "alert 7"}]}
        with LocalProvider([file]) as provider:
            statuses = [httpx2.post(f"{provider.openai_url}/chat/completions", json=body).status_code for _ in range(3)]
        assert statuses == [503, 200, 200]

    def test_an_unknown_path_is_not_found(self, provider: LocalProvider) -> None:
        """The error has the provider's shape."""
        answer = httpx2.post(f"{provider.openai_url}/nothing", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
