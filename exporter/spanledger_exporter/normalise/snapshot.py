"""What the AI *was* when it acted: provider, model, parameters, prompt, tools and every version that somebody named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spanledger_semconv import attributes as keys
from spanledger_semconv import bodies
from spanledger_semconv.invocation import InvocationRequest

_REQUEST: Final = "gen_ai.request."

SNAPSHOT_KEYS: Final = frozenset(
    {
        keys.GEN_AI_PROVIDER_NAME,
        keys.GEN_AI_SYSTEM,
        keys.GEN_AI_RESPONSE_MODEL,
        keys.SPANLEDGER_TOOL_VERSION,
        keys.SPANLEDGER_TOOL_DIGEST,
        keys.SPANLEDGER_TOOL_DIGESTS,
    }
)
"""Keys that a snapshot represents, besides every `gen_ai.request.*` and what `bodies.SNAPSHOT` lists."""


def snapshot_of(request: InvocationRequest, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the envelope's `snapshot` without the model that answered; `facts` is every attribute known."""
    named = bodies.snapshot(facts)
    snapshot: dict[str, Any] = {
        **named,
        "provider": request.provider,
        "model_requested": request.model,
        "model_params": _model_params(facts),
        "prompt": _prompt(request, named.get("prompt", {})),
        "tools": _tools(request, facts),
        "code": _code(request, named.get("code", {})),
    }
    if "workflow" not in snapshot and (workflow := facts.get(keys.GEN_AI_WORKFLOW_NAME)):
        snapshot["workflow"] = {"id": workflow}
    if "retrieval" not in snapshot and (index := facts.get(keys.GEN_AI_DATA_SOURCE_ID)):
        snapshot["retrieval"] = {"index": index}
    return _present(snapshot)


def _present(values: dict[str, Any]) -> dict[str, Any] | None:
    return {key: value for key, value in values.items() if value is not None} or None


def _model_params(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    start = len(_REQUEST)
    found = {key[start:]: value for key, value in facts.items() if key.startswith(_REQUEST)}
    found.pop("model", None)
    return found or None


def _prompt(request: InvocationRequest, named: Mapping[str, Any]) -> dict[str, Any] | None:
    known = request.prompt
    if known is None:
        return dict(named) or None
    said = {"name": known.name, "version": known.version, "hash": known.digest}
    return {**named, **{key: value for key, value in said.items() if value is not None}} or None


def _tools(request: InvocationRequest, facts: Mapping[str, Any]) -> dict[str, str] | None:
    """Return each tool's version: what the application says, else the digest of its definition."""
    tools = dict(request.tools)
    listed = facts.get(keys.SPANLEDGER_TOOL_DIGESTS)
    if not tools and isinstance(listed, (list, tuple)):
        tools = {name: digest for name, _, digest in (str(entry).partition("=") for entry in listed)}
    name = facts.get(keys.GEN_AI_TOOL_NAME)
    version = facts.get(keys.SPANLEDGER_TOOL_VERSION) or facts.get(keys.SPANLEDGER_TOOL_DIGEST)
    if name and version:
        tools[str(name)] = str(version)
    return tools or None


def _code(request: InvocationRequest, named: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return where the call was made; `function` is qualified with its module."""
    site = request.call_site
    module, function = (site.module, site.function) if site else (named.get("module"), named.get("function"))
    qualified = f"{module}.{function}" if module and function else function
    return _present({**named, "module": None, "function": qualified, "line": site.line if site else named.get("line")})
