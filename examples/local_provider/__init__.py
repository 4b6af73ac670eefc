"""A provider of models on your own machine, for the demo and the tests: no key, no network, no cost.

It speaks the wire formats of OpenAI (chat completions, responses, embeddings, legacy completions) and Anthropic
(messages), streamed or not, and answers from transcripts; the real SDKs cannot tell the difference.
Standard library only.
"""

from local_provider.reply import Event, ReceivedRequest, Reply
from local_provider.server import LocalProvider

__all__ = ["Event", "LocalProvider", "ReceivedRequest", "Reply"]
