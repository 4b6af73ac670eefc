"""Folds the events of a message stream into the message they make.

An event is folded as it passes and not kept; pieces of text are joined when the stream ends.
What the provider had not said yet when the stream ended stays unknown: before `message_delta` there is no output count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spanledger.anthropic.answer import describe, field, read_usage
from spanledger.anthropic.parts import plain
from spanledger_semconv.invocation import InvocationResult, Outcome

_TEXT_DELTAS: Mapping[str, str] = {"text_delta": "text", "thinking_delta": "thinking", "compaction_delta": "content"}
_JSON = "_partial_json"

_PLACEHOLDERS = frozenset({"output_tokens", "output_tokens_details"})
"""Counts that `message_start` only makes room for; `message_delta` brings the true ones."""


class MessageReducer:
    """Takes the events of one stream in order."""

    def __init__(self) -> None:
        self._start: Any = None
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, dict[str, list[str]]] = {}
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._is_stopped = False

    def add(self, chunk: Any) -> None:
        """Take one event; the stream helper's own events (`text`, `input_json`, …) repeat these and are passed over."""
        kind = field(chunk, "type")
        if kind == "content_block_delta":
            self._add_delta(chunk.index, chunk.delta)
        elif kind == "content_block_start":
            self._blocks[chunk.index] = dict(plain(chunk.content_block))
        elif kind == "message_start":
            self._start = chunk.message
            self._usage.update(
                {key: value for key, value in plain(chunk.message.usage).items() if key not in _PLACEHOLDERS}
            )
        elif kind == "message_delta":
            self._stop_reason = field(chunk.delta, "stop_reason")
            # Cumulative: what it repeats replaces what `message_start` said, so that nothing is counted twice.
            self._usage.update({key: value for key, value in plain(chunk.usage).items() if value is not None})
        elif kind == "message_stop":
            self._is_stopped = True

    def _add_delta(self, index: int, delta: Any) -> None:
        kind = delta.type
        if kind in _TEXT_DELTAS:
            name = _TEXT_DELTAS[kind]
            self._keep(index, name, field(delta, name))
        elif kind == "input_json_delta":
            self._keep(index, _JSON, delta.partial_json)
        elif kind == "citations_delta":
            self._blocks.setdefault(index, {"type": "text"}).setdefault("citations", []).append(plain(delta.citation))

    def _keep(self, index: int, name: str, piece: Any) -> None:
        if isinstance(piece, str):
            self._pieces.setdefault(index, {}).setdefault(name, []).append(piece)

    def is_complete(self) -> bool:
        """Whether the provider has said how the message ended."""
        return self._is_stopped or self._stop_reason is not None

    def result(self, outcome: Outcome) -> InvocationResult:
        """Describe what arrived; a stream that ended without its end is incomplete."""
        if outcome == "success" and not self.is_complete():
            outcome = "incomplete"
        start = self._start
        return describe(
            outcome,
            response_id=field(start, "id"),
            model=field(start, "model"),
            stop_reason=self._stop_reason or ("error" if outcome == "incomplete" else None),
            content=[self._block(index) for index in sorted(self._blocks)],
            usage=read_usage(self._usage),
            served=self._usage,
        )

    def _block(self, index: int) -> dict[str, Any]:
        """Return a block with its pieces put together."""
        block = dict(self._blocks[index])
        for name, pieces in self._pieces.get(index, {}).items():
            text = "".join(pieces)
            if name == _JSON:
                block["input"] = _arguments(text, block.get("input"))
            else:
                block[name] = (block.get(name) or "") + text
        return block


def _arguments(text: str, otherwise: Any) -> Any:
    """Return tool arguments; what breaks off in the middle stays the text that arrived."""
    if not text:
        return otherwise
    try:
        return json.loads(text)
    except ValueError:
        return text
