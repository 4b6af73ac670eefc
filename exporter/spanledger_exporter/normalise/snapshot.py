"""What the AI *was* when it acted: provider, model, parameters, prompt, tools and every version that somebody named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys
from spanledger_semconv.invocation import InvocationRequest

_REQUEST: Final = "gen_ai.request."
_PAIRS: Final = (
    ("policy", ("name", keys.SPANLEDGER_POLICY_NAME), ("version", keys.SPANLEDGER_POLICY_VERSION)),
    ("dataset", ("name", keys.SPANLEDGER_DATASET_NAME), ("version", keys.SPANLEDGER_DATASET_VERSION)),
    ("workflow", ("id", keys.SPANLEDGER_WORKFLOW_ID), ("version", keys.SPANLEDGER_WORKFLOW_VERSION)),
    (
        "retrieval",
        ("index", keys.SPANLEDGER_RETRIEVAL_INDEX_NAME),
        ("version", keys.SPANLEDGER_RETRIEVAL_INDEX_VERSION),
        ("digest", keys.SPANLEDGER_RETRIEVAL_INDEX_DIGEST),
    ),
)

SNAPSHOT_KEYS: Final = frozenset(key for _, *pairs in _PAIRS for _, key in pairs) | {
    keys.GEN_AI_PROVIDER_NAME,
    keys.GEN_AI_SYSTEM,
    keys.GEN_AI_RESPONSE_MODEL,
    keys.GEN_AI_PROMPT_NAME,
    keys.GEN_AI_PROMPT_VERSION,
    keys.SPANLEDGER_PROMPT_HASH,
    keys.SPANLEDGER_PROMPT_MATCH,
    keys.SPANLEDGER_TOOL_VERSION,
    keys.SPANLEDGER_TOOL_DIGEST,
    keys.SPANLEDGER_TOOL_DIGESTS,
    keys.SPANLEDGER_CODE_VERSION,
    keys.SPANLEDGER_CALL_SITE_MODULE,
    keys.SPANLEDGER_CALL_SITE_FUNCTION,
    keys.SPANLEDGER_CALL_SITE_LINE,
}
"""Keys that a snapshot represents, besides every `gen_ai.request.*`."""


def snapshot_of(request: InvocationRequest, facts: Mapping[str, Any], *, model: str | None) -> dict[str, Any] | None:
    """Return the envelope's `snapshot`; `model` is the one that answered, `facts` every attribute known."""
    snapshot: dict[str, Any] = {
        "provider": request.provider,
        "model_requested": request.model,
        "model": model,
        "model_params": _model_params(facts),
        "prompt": _prompt(request, facts),
        "tools": _tools(request, facts),
        "code": _code(request, facts),
    }
    for name, *pairs in _PAIRS:
        snapshot[name] = _present({field: facts.get(key) for field, key in pairs})
    if snapshot["workflow"] is None and (workflow := facts.get(keys.GEN_AI_WORKFLOW_NAME)):
        snapshot["workflow"] = {"id": workflow}
    if snapshot["retrieval"] is None and (index := facts.get(keys.GEN_AI_DATA_SOURCE_ID)):
        snapshot["retrieval"] = {"index": index}
    return _present(snapshot)


def _present(values: dict[str, Any]) -> dict[str, Any] | None:
    return {key: value for key, value in values.items() if value is not None} or None


def _model_params(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    start = len(_REQUEST)
    found = {key[start:]: value for key, value in facts.items() if key.startswith(_REQUEST)}
    found.pop("model", None)
    return found or None


def _prompt(request: InvocationRequest, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    known = request.prompt
    return _present(
        {
            "name": (known.name if known else None) or facts.get(keys.GEN_AI_PROMPT_NAME),
            "version": (known.version if known else None) or facts.get(keys.GEN_AI_PROMPT_VERSION),
            "hash": (known.digest if known else None) or facts.get(keys.SPANLEDGER_PROMPT_HASH),
            "match": facts.get(keys.SPANLEDGER_PROMPT_MATCH),
        }
    )


def _tools(request: InvocationRequest, facts: Mapping[str, Any]) -> dict[str, str] | None:
    """A tool's version is what the application says, else the digest of its definition."""
    tools = dict(request.tools)
    listed = facts.get(keys.SPANLEDGER_TOOL_DIGESTS)
    if not tools and isinstance(listed, (list, tuple)):
        tools = {name: digest for name, _, digest in (str(entry).partition("=") for entry in listed)}
    name = facts.get(keys.GEN_AI_TOOL_NAME)
    version = facts.get(keys.SPANLEDGER_TOOL_VERSION) or facts.get(keys.SPANLEDGER_TOOL_DIGEST)
    if name and version:
        tools[str(name)] = str(version)
    return tools or None


def _code(request: InvocationRequest, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    site = request.call_site
    function = f"{site.module}.{site.function}" if site else facts.get(keys.SPANLEDGER_CALL_SITE_FUNCTION)
    module = facts.get(keys.SPANLEDGER_CALL_SITE_MODULE)
    if site is None and function and module:
        function = f"{module}.{function}"
    line = site.line if site else facts.get(keys.SPANLEDGER_CALL_SITE_LINE)
    return _present({"function": function, "line": line, "version": facts.get(keys.SPANLEDGER_CODE_VERSION)})
