"""Images, transcriptions, decisions, compactions, cancellations: methods beside chat, responses and embeddings."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from recorded_calls import Recorded

PNG = base64.b64encode(b"not really a picture").decode()
IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 100,
    "output_tokens_details": {"text_tokens": 0, "image_tokens": 100},
    "total_tokens": 150,
}
TEXT_USAGE = {
    "type": "tokens",
    "input_tokens": 30,
    "output_tokens": 5,
    "total_tokens": 35,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 30},
}
RESPONSE_USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 0},
    "output_tokens": 70,
    "output_tokens_details": {"reasoning_tokens": 20},
    "total_tokens": 970,
}

Answer = Callable[..., openai.OpenAI]


@pytest.fixture
def answering(recorded: Recorded) -> Iterator[Answer]:
    """Connect a client whose provider gives one and the same answer to everything."""
    del recorded
    clients: list[openai.OpenAI] = []

    def connect(body: Any, media: str = "application/json") -> openai.OpenAI:
        content = body if isinstance(body, str) else json.dumps(body)
        headers = {"content-type": media}
        transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers=headers, content=content))
        client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=transport))
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


def events(*data: dict[str, Any]) -> str:
    """Return a body of server-sent events."""
    return "".join(f"event: {item['type']}\ndata: {json.dumps(item)}\n\n" for item in data)


def parts(messages: Any) -> list[dict[str, Any]]:
    """Return the parts of the only message."""
    (message,) = messages
    return list(message["parts"])


def test_an_image_is_recorded_with_prompt_picture_and_usage(answering: Answer, recorded: Recorded) -> None:
    """Text and image tokens are told apart: they have different prices."""
    client = answering({"created": 1, "data": [{"b64_json": PNG}], "output_format": "webp", "usage": IMAGE_USAGE})
    client.images.generate(model="gpt-image-2", prompt="An alert", n=2)
    assert recorded.span.name == "generate_content gpt-image-2"
    assert parts(recorded.request.input_messages) == [{"type": "text", "content": "An alert"}]
    picture = {"type": "blob", "mime_type": "image/webp", "modality": "image", "content": PNG}
    assert parts(recorded.result.output_messages) == [picture]
    assert recorded.usage == {"input_tokens": 50, "output_tokens": 100}
    assert recorded.result.usage is not None
    assert recorded.result.usage.other == {"input_text": 10, "input_image": 40, "output_image": 100}
    assert recorded.attributes["gen_ai.output.type"] == "image"
    assert recorded.attributes["gen_ai.request.choice.count"] == 2


def test_a_streamed_image_is_recorded_when_it_is_whole(answering: Answer, recorded: Recorded) -> None:
    """The pictures on the way are not: they are shown and replaced."""
    whole = {"type": "image_generation.completed", "b64_json": PNG, "output_format": "png", "usage": IMAGE_USAGE}
    partial = {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0}
    client = answering(events(partial, whole), "text/event-stream")
    assert len(list(client.images.generate(model="gpt-image-2", prompt="An alert", stream=True))) == 2
    assert [part["content"] for part in parts(recorded.result.output_messages)] == [PNG]
    assert (recorded.result.outcome, recorded.usage) == ("success", {"input_tokens": 50, "output_tokens": 100})


def test_an_edited_image_has_its_files_in_the_input(answering: Answer, recorded: Recorded, tmp_path: Path) -> None:
    """Bytes and paths whole, an open file by its name: it can be read once, and the SDK has to send it."""
    (tmp_path / "b.png").write_bytes(b"b")
    opened = io.BytesIO(b"c")
    opened.name = "c.png"
    client = answering({"created": 1, "data": [{"url": "https://x.test/out.png"}]})
    client.images.edit(model="gpt-image-2", prompt="Sharper", image=[("a.png", b"a"), tmp_path / "b.png"], mask=opened)
    text, first, second, mask = parts(recorded.request.input_messages)
    assert text["content"] == "Sharper"
    assert (first["name"], first["content"]) == ("a.png", base64.b64encode(b"a").decode())
    assert second["content"] == base64.b64encode(b"b").decode()
    assert mask == {"type": "image", "modality": "image", "mime_type": None, "name": "c.png"}
    assert recorded.usage == {}


def test_a_transcription_is_recorded_with_its_text(answering: Answer, recorded: Recorded) -> None:
    """Audio tokens are part of the input."""
    client = answering({"text": "The alert is real.", "usage": TEXT_USAGE})
    client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF", "audio/wav"))
    assert parts(recorded.result.output_messages) == [{"type": "text", "content": "The alert is real."}]
    assert parts(recorded.request.input_messages)[0]["modality"] == "audio"
    assert recorded.usage == {"input_tokens": 30, "output_tokens": 5, "audio.input_tokens": 30}


def test_audio_that_is_billed_by_time_has_no_token_count(answering: Answer, recorded: Recorded) -> None:
    """Seconds are no tokens."""
    client = answering({"text": "Real.", "usage": {"type": "duration", "seconds": 3.5}})
    translations: Any = client.audio.translations
    with pytest.deprecated_call():  # the SDK's own
        translations.create(model="whisper-1", file=("a.wav", b"RIFF"))
    assert (recorded.result.outcome, recorded.usage) == ("success", {})


@pytest.mark.parametrize("raw", [False, True])
def test_a_transcription_as_plain_text_is_recorded_too(answering: Answer, recorded: Recorded, *, raw: bool) -> None:
    """Subtitles are no JSON; nobody may take them for a broken document."""
    client = answering("The alert is real.", "text/plain")
    if raw:
        resource = client.audio.transcriptions.with_streaming_response
        with resource.create(model="whisper-1", file=("a.wav", b"RIFF"), response_format="text") as response:
            assert response.text()
    else:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"), response_format="text")
    assert recorded.result.outcome == "success"
    assert parts(recorded.result.output_messages)[0]["content"].strip() == "The alert is real."


def test_a_streamed_transcription_that_is_left_early_keeps_what_was_heard(
    answering: Answer, recorded: Recorded
) -> None:
    """And claims no usage."""
    delta = {"type": "transcript.text.delta", "delta": "The alert"}
    client = answering(events(delta, delta), "text/event-stream")
    stream = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF"), stream=True)
    next(iter(stream))
    stream.close()
    assert (recorded.result.outcome, recorded.usage) == ("cancelled", {})
    assert parts(recorded.result.output_messages)[0]["content"] == "The alert"


def test_a_decision_is_recorded_with_questions_and_answers(answering: Answer, recorded: Recorded) -> None:
    """What was asked is part of the input, with the text that it was asked about."""
    answer = {"type": "predicate", "name": "real", "probability": 0.9}
    client = answering({"answers": [answer], "model": "gpt-6-luna-1", "usage": RESPONSE_USAGE})
    question: Any = {"type": "predicate", "name": "real", "question": "Is the alert real?"}
    client.decisions.create(model="gpt-6-luna", input="Alert 7", questions=[question])
    about, asked = recorded.request.input_messages
    assert about["parts"] == [{"type": "text", "content": "Alert 7"}]
    assert asked["parts"][0]["question"] == "Is the alert real?"
    assert parts(recorded.result.output_messages) == [{"type": "decision", "decision": answer}]
    assert recorded.attributes["gen_ai.response.model"] == "gpt-6-luna-1"
    assert recorded.usage["cache_read.input_tokens"] == 800


@pytest.mark.parametrize("beta", [False, True])
def test_a_compaction_is_a_call_with_usage_of_its_own(answering: Answer, recorded: Recorded, *, beta: bool) -> None:
    """A model works through the whole conversation, and that is paid for."""
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "…"}
    head = {"id": "resp_c", "object": "response.compaction", "created_at": 1}
    body = {**head, "output": [item], "usage": RESPONSE_USAGE}
    client = answering(body)
    resource: Any = client.beta.responses if beta else client.responses
    resource.compact(model="gpt-5.6-sol", input="A long story", instructions="Be brief.")
    assert (recorded.span.name, recorded.result.outcome) == ("chat gpt-5.6-sol", "success")
    assert recorded.attributes["gen_ai.conversation.compacted"] is True
    assert recorded.usage["input_tokens"] == 900
    assert list(recorded.request.system_instructions) == [{"type": "text", "content": "Be brief."}]


def response_body(status: str, **fields: Any) -> dict[str, Any]:
    """Return a stored response in some state."""
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.6-sol", "output": []}
    return {**head, "status": status, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], **fields}


@pytest.mark.parametrize("beta", [False, True])
def test_a_cancelled_response_is_no_inference(answering: Answer, recorded: Recorded, *, beta: bool) -> None:
    """The cancellation succeeded; whatever had been spent belongs to the call that made the response."""
    client = answering(response_body("cancelled", usage=RESPONSE_USAGE))
    resource: Any = client.beta.responses if beta else client.responses
    resource.cancel("resp_1")
    assert (recorded.span.name, recorded.result.outcome) == ("cancel_response", "success")
    assert recorded.attributes["gen_ai.response.status"] == "cancelled"
    assert recorded.attributes["gen_ai.response.id"] == "resp_1"
    assert recorded.usage == {}


def test_a_response_that_is_made_in_the_background_says_so(answering: Answer, recorded: Recorded) -> None:
    """Nothing has been answered and nothing been spent when the call returns."""
    answering(response_body("queued")).responses.create(model="gpt-5.6-sol", input="x", background=True)
    assert recorded.attributes["gen_ai.response.status"] == "queued"
    assert (recorded.usage, list(recorded.result.finish_reasons)) == ({}, [])


def test_a_beta_response_is_a_response(answering: Answer, recorded: Recorded) -> None:
    """Another resource of the SDK, and the same record."""
    answering(response_body("completed", usage=RESPONSE_USAGE)).beta.responses.create(model="gpt-5.6-sol", input="x")
    assert (recorded.span.name, recorded.usage["output_tokens"]) == ("chat gpt-5.6-sol", 70)


PROMPT_TEXT = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Sort alerts."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Alert 7 of Ada"}]},
]


@pytest.mark.parametrize(("instructions", "said"), [("Be brief.", "Be brief."), (PROMPT_TEXT, "Sort alerts.")])
@pytest.mark.parametrize("stream", [False, True])
def test_the_text_of_a_reusable_prompt_is_taken_from_the_answer(
    answering: Answer, recorded: Recorded, *, instructions: Any, said: str, stream: bool
) -> None:
    """The request has only its id: what the model was told is known when the provider tells."""
    body = response_body("completed", usage=RESPONSE_USAGE, instructions=instructions)
    done = {"type": "response.completed", "response": body, "sequence_number": 0}
    client = answering(events(done), "text/event-stream") if stream else answering(body)
    answer = client.responses.create(
        model="gpt-5.6-sol", prompt={"id": "pmpt_triage", "version": "7"}, input="x", stream=stream
    )
    if stream:
        list(answer)
    assert list(recorded.result.system_instructions) == [{"type": "text", "content": said}]


def test_instructions_that_were_sent_are_not_recorded_a_second_time(answering: Answer, recorded: Recorded) -> None:
    """The answer repeats them."""
    body = response_body("completed", usage=RESPONSE_USAGE, instructions="Be brief.")
    answering(body).responses.create(model="gpt-5.6-sol", instructions="Be brief.", input="x")
    assert list(recorded.request.system_instructions) == [{"type": "text", "content": "Be brief."}]
    assert list(recorded.result.system_instructions) == []
